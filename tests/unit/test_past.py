"""What a run leaves: data stays, journals and logs are put aside, and what is too old or too much goes."""

import os
from pathlib import Path

import pytest

import demo.__main__ as program
from authorities.registry.state import Entry, State
from demo import past
from demo.past import RUNS_KEPT, forget, put_aside
from demo.system import DemoError, System, _only_one, _survived, _suspended
from zerotrust.known import SIGNER
from zerotrust.lock import Lock
from zerotrust.registry import Registry


def run(folder: Path, number: int, *, size: int = 10) -> None:
    """As a run leaves its folder."""
    for name in ("agent-reader", "authority-registry"):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
        journal = folder / "data" / name / "journal.jsonl"
        journal.write_text(f"{number}".ljust(size))
        os.utime(journal, (1_000_000 + number, 1_000_000 + number))
    (folder / "data" / "authority-registry" / "standing.db").write_text("bob is withdrawn")
    (folder / "logs").mkdir(exist_ok=True)
    log = folder / "logs" / "agent-reader.log"
    log.write_text(f"{number}")
    os.utime(log, (1_000_000 + number, 1_000_000 + number))


def runs(folder: Path) -> list[int]:
    """The runs that are kept, oldest first."""
    return [int(file.read_text()) for file in sorted(folder.glob("past/*/agent-reader.jsonl"))]


def test_of_a_first_run_there_is_nothing_before(tmp_path: Path) -> None:
    assert put_aside(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_journals_and_logs_are_put_aside_and_what_is_withdrawn_stays(tmp_path: Path) -> None:
    run(tmp_path, 1)

    place = put_aside(tmp_path)

    assert place == tmp_path / "past" / "1970-01-12T13-46-41.000000Z"
    assert {file.name for file in place.iterdir()} == {
        "agent-reader.jsonl",
        "authority-registry.jsonl",
        "agent-reader.log",
    }
    assert [file.name for file in tmp_path.glob("data/*/*")] == ["standing.db"]
    assert place.stat().st_mode & 0o777 == 0o700


def test_only_the_last_runs_are_kept(tmp_path: Path) -> None:
    for number in range(RUNS_KEPT + 3):
        run(tmp_path, number)
        put_aside(tmp_path)

    assert runs(tmp_path) == list(range(3, RUNS_KEPT + 3))


def test_and_no_more_of_them_than_a_disk_can_bear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "MOST_KEPT", 250)
    for number in range(4):
        run(tmp_path, number, size=50)
        put_aside(tmp_path)
    assert runs(tmp_path) == [2, 3]

    run(tmp_path, 9, size=5000)
    put_aside(tmp_path)
    assert runs(tmp_path) == [9]


def test_a_deliberate_fresh_start_forgets_it_all(tmp_path: Path) -> None:
    run(tmp_path, 1)
    put_aside(tmp_path)
    run(tmp_path, 2)
    (tmp_path / "keycloak" / "data" / "h2").mkdir(parents=True)
    (tmp_path / "keycloak" / "providers").mkdir()
    for name in ("data.seal", "handover"):
        (tmp_path / "keycloak" / name).touch()

    forget(tmp_path)

    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "keycloak",
        "keycloak/providers",
    ]


# --- who keeps and who forgets ----------------------------------------------------------------------------------------


def test_nothing_is_forgotten_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "FOLDER", tmp_path)
    run(tmp_path, 1)
    with _only_one(tmp_path), pytest.raises(SystemExit, match="1"):
        program.fresh()
    assert "`make down` ends it" in capsys.readouterr().out
    assert (tmp_path / "data" / "authority-registry" / "standing.db").exists()

    program.fresh()

    assert not (tmp_path / "data").exists()


def test_a_walkthrough_beside_what_make_up_left_running_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def running(*_: object, **__: object) -> None:
        raise DemoError("it starts")

    monkeypatch.setattr(program, "FOLDER", tmp_path)
    monkeypatch.setattr(program, "running", running)
    with _only_one(tmp_path), pytest.raises(SystemExit, match="1"):
        program.walkthrough()
    assert capsys.readouterr().out == f"`make up` runs here, as process {os.getpid()}: `make down` ends it.\n"

    with pytest.raises(SystemExit, match="1"):
        program.walkthrough()
    assert capsys.readouterr().out == "it starts\n"


@pytest.mark.parametrize(("what", "folder", "keep"), [("_serve", "FOLDER", True), ("_walkthrough", "STORY", False)])
async def test_what_is_left_running_keeps_and_the_walkthrough_does_not(
    monkeypatch: pytest.MonkeyPatch, what: str, folder: str, keep: bool
) -> None:
    asked: list[tuple[Path, bool]] = []

    class AskedError(Exception):
        pass

    def running(place: Path, *, keep: bool = False, **_more: object) -> None:
        asked.append((place, keep))
        raise AskedError

    monkeypatch.setattr(program, "running", running)

    with pytest.raises(AskedError):
        await getattr(program, what)()

    assert asked == [(getattr(program, folder), keep)]
    assert program.FOLDER != program.STORY


@pytest.mark.parametrize("imported", [True, False])
def test_what_is_lost_is_said(imported: bool) -> None:
    said = _survived(Path("run/past/then"), imported=imported)

    assert "stays withdrawn" in said
    assert f"run/past/then ({RUNS_KEPT} runs are kept, 200 MB at most). Its sessions are gone" in said
    assert ("the realm was imported anew" in said) == imported


async def test_who_was_suspended_is_known_before_anything_runs(tmp_path: Path, registry: Registry) -> None:
    system = System(registry, Lock(files={}, parties={}), tmp_path, None, None)  # type: ignore[arg-type] # neither is asked
    assert await _suspended(system) == {}

    kept = State(system.data(SIGNER) / "standing.db")
    async with kept.opened():
        await kept.change(
            [
                Entry(("party", registry.id("agent/writer")), "compromised"),
                Entry(("party", registry.id("agent/reader")), "a mistake"),
                Entry(("party", registry.id(SIGNER)), "it cannot be waited for"),
                Entry(("user", "bob"), "fired"),
            ]
        )
        await kept.change([Entry(("party", registry.id("agent/reader")), None)])

    assert await _suspended(system) == {"agent/writer": "compromised"}
