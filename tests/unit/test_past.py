"""What a run leaves: data stays, and logs are put aside in the place of those before."""

import os
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import demo.__main__ as walkthrough
import start.__main__ as program
from authorities.registry.state import Entry, State
from registration.run_lock import RunError, exclusive_run, running_process
from start import everything as start
from start import serve, sign_in
from start.earlier_runs import data_folder, forget, put_aside
from start.model import Model
from tests.support.ca import REGISTRY_PARTY
from zerotrust.registry.model import Registry
from zt.errors import CommandError


def run(folder: Path, number: int) -> None:
    """As a run leaves its folder."""
    for name in ("agent-reader", "authority-registry"):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
        (folder / "data" / name / "journal.jsonl").write_text(f"{number}")
    (folder / "data" / "authority-registry" / "revocations.db").write_text("bob is revoked")
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / f"of-{number}.log").write_text(f"{number}")
    (folder / "ca.pem").write_text(f"of run {number}")


def test_logs_are_put_aside_and_what_is_revoked_and_on_record_stays(tmp_path: Path) -> None:
    assert put_aside(tmp_path) is None  # of a first run there is nothing before
    assert list(tmp_path.iterdir()) == []
    place = tmp_path / "past"
    for number in (1, 2):
        run(tmp_path, number)
        assert put_aside(tmp_path) == place

        # Receipts of that run are verified with its authority, and the next start makes another one.
        assert sorted(file.name for file in place.iterdir()) == ["ca.pem", f"of-{number}.log"]
        assert (place / "ca.pem").read_text() == f"of run {number}"
        assert (tmp_path / "ca.pem").exists(), "a start that fails leaves it"
    assert sorted(file.name for file in tmp_path.glob("data/*/*")) == [
        "journal.jsonl",
        "journal.jsonl",
        "revocations.db",
    ]
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_deliberate_fresh_start_forgets_it_all(tmp_path: Path) -> None:
    run(tmp_path, 1)
    put_aside(tmp_path)
    run(tmp_path, 2)
    (tmp_path / "keycloak").mkdir()
    (tmp_path / "llama-stack").mkdir()
    (tmp_path / "llama-stack" / "config.yaml").write_text("the key of the user's model server")

    forget(tmp_path)

    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["ca.pem", "keycloak"]


@pytest.mark.parametrize("name", ["past", "data", "logs", "keycloak", "llama-stack"])
def test_nothing_is_moved_or_removed_behind_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder, foreign = tmp_path / "run", tmp_path / "foreign"
    (foreign / "file").parent.mkdir()
    (foreign / "file").touch()
    run(folder, 1)
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(foreign)

    with pytest.raises(NotADirectoryError, match=f"/{name} is a symbolic link"):
        put_aside(folder)

    monkeypatch.setattr(program, "FOLDER", folder)
    with pytest.raises(SystemExit, match="1"):
        program.fresh()
    assert "symbolic link" in " ".join(capsys.readouterr().out.split())
    assert [file.name for file in foreign.iterdir()] == ["file"]


# --- who keeps and who forgets ----------------------------------------------------------------------------------------


def test_nothing_is_forgotten_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    run(tmp_path, 1)
    with exclusive_run(tmp_path), pytest.raises(SystemExit, match="1"):
        program.fresh()
    assert "`make down` ends it" in capsys.readouterr().out
    assert (tmp_path / "data" / "authority-registry" / "revocations.db").exists()

    program.fresh()

    assert not (tmp_path / "data").exists()


def test_a_run_is_known_by_its_lock_and_not_by_what_its_file_says(tmp_path: Path) -> None:
    assert running_process(tmp_path / "none") is None
    with exclusive_run(tmp_path):
        assert running_process(tmp_path) == os.getpid()
        with pytest.raises(RunError, match=f"as process {os.getpid()}: `make down` ends it"), exclusive_run(tmp_path):
            pass
        assert running_process(tmp_path) == os.getpid()
    (tmp_path / "running.pid").write_text("1")  # its process was killed

    assert running_process(tmp_path) is None


@pytest.mark.parametrize(
    ("module", "what", "folder", "keep"),
    [(serve, "serve", "FOLDER", True), (walkthrough, "_walkthrough", "STORY", False)],
)
async def test_what_is_left_running_keeps_and_the_walkthrough_does_not(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, what: str, folder: str, keep: bool
) -> None:
    asked: list[tuple[Path, bool]] = []

    class AskedError(Exception):
        pass

    def running(place: Path, *, keep: bool = False, **_more: object) -> None:
        asked.append((place, keep))
        raise AskedError

    monkeypatch.setattr(serve if module is serve else start, "running", running)

    with pytest.raises(AskedError):
        await getattr(module, what)(Model.SCRIPT)

    assert asked == [(getattr(module, folder), keep)]


@pytest.mark.parametrize("keep", [True, False])
async def test_a_start_from_nothing_takes_no_data_of_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    class StartedError(Exception):
        pass

    def started(*_: object, **_more: object) -> None:
        raise StartedError

    left = tmp_path / "data" / "authority-registry" / "revocations.db"
    left.parent.mkdir(parents=True)
    left.touch()
    (tmp_path / "data").chmod(0o755)
    monkeypatch.setattr(start, "check_port", lambda *_: None)

    with pytest.raises(StartedError):
        async with start.running(tmp_path, say=print, attestation=started, keep=keep):  # type: ignore[arg-type] # never made
            pass

    assert left.exists() == keep
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700  # no other user reads what an earlier version left


def test_what_keeps_a_token_away_is_printed_and_never_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refused(*_: object, **_more: object) -> None:
        raise CommandError("no \x1b[31mred", "no_answer")

    monkeypatch.setattr(sign_in, "client_at", lambda *_, **__: None)
    monkeypatch.setattr(sign_in, "sign_in_at", refused)
    monkeypatch.setattr(sign_in, "ask_password", lambda: "secret")

    with pytest.raises(SystemExit, match="1"):
        program.token("alice")

    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "no \\x1b[31mred\n")


async def test_who_was_suspended_is_known_before_anything_runs(tmp_path: Path, registry: Registry) -> None:
    assert await start.suspended_parties(registry, tmp_path) == {}

    state = State(data_folder(tmp_path, REGISTRY_PARTY) / "revocations.db")
    async with state.open():
        await state.change(
            [
                Entry(("party", registry.id("agent/writer")), "compromised"),
                Entry(("party", registry.id("agent/reader")), "a mistake"),
                Entry(("party", registry.id(REGISTRY_PARTY)), "it cannot be waited for"),
                Entry(("user", "bob"), "fired"),
            ]
        )
        await state.change([Entry(("party", registry.id("agent/reader")), None)])

    assert await start.suspended_parties(registry, tmp_path) == {"agent/writer": "compromised"}
