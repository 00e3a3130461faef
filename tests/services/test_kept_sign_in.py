"""One sign-in serves several commands of `zt`: what is kept where, for how long, and whom it is refused."""

import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from testkit.issuer import ISSUER, metadata
from tests.support.operator import NAMES, NO_PLACE, Registered, Zt, failed, program_at, served, signed_out, token_of
from tests.support.pki import CA
from tests.support.system import deployment
from zerotrust.registry.model import Registry
from zerotrust.revocation_list import SIGN_IN_LIFE
from zt.errors import CommandError
from zt.people import browser
from zt.people.authorities import Place
from zt.people.kept import MAX_FILE, Keeper
from zt.people.key import Key
from zt.people.login import SIGNED_OUT, Client, Login


class Keycloak:
    """Answers a refresh, and a sign-out; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.status, self.number = 200, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=metadata())
        self.asked.append(dict(parse_qsl(request.content.decode())))
        if request.url.path.endswith("/logout"):
            return httpx.Response(302, headers={"location": SIGNED_OUT}) if self.status == 200 else httpx.Response(503)
        self.number += 1
        tokens = {"access_token": token_of("olga"), "refresh_token": f"r{self.number}", "id_token": "i"}
        refused = {"error": "invalid_grant"}
        answer = tokens | {"expires_in": 60, "token_type": "DPoP"} if self.status == 200 else refused
        return httpx.Response(self.status, json=answer)


@pytest.fixture
def keycloak(monkeypatch: pytest.MonkeyPatch) -> Keycloak:
    keycloak = Keycloak()
    monkeypatch.setattr(Client, "http", lambda _: httpx.AsyncClient(transport=httpx.MockTransport(keycloak)))
    return keycloak


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path / "runtime"


KEY = Key()
LOGIN = Login(access_token="a", refresh_token="r0", id_token="i", expires_in=60, key=KEY)


def keeper(issuer: str = ISSUER, client: str = "zt") -> Keeper:
    return Keeper(Client(issuer, client, "registry.admin", None))  # type: ignore[arg-type] # no connection is made


def file_in(folder: Path) -> Path:
    [file] = (folder / "zt").iterdir()
    return file


async def test_a_sign_in_is_kept_for_its_account_alone_and_refreshed_once_for_each_command(
    keycloak: Keycloak, runtime: Path
) -> None:
    assert keeper().keep("olga", LOGIN)
    assert [stat.S_IMODE(one.stat().st_mode) for one in (runtime / "zt", file_in(runtime))] == [0o700, 0o600]

    for number in range(3):
        login = await keeper().resume("olga")
        assert login
        assert login.key.thumbprint == KEY.thumbprint
        assert keycloak.asked[number] == {
            "grant_type": "refresh_token",
            "client_id": "zt",
            "refresh_token": f"r{number}",
        }


async def test_it_is_not_used_at_another_issuer_or_for_another_client(keycloak: Keycloak, runtime: Path) -> None:
    keeper().keep("olga", LOGIN)

    assert await keeper("https://elsewhere.test").resume() is None
    assert await keeper(client="zt-policy").resume() is None
    assert keycloak.asked == []


async def test_its_time_begins_with_the_sign_in_and_no_command_extends_it(
    keycloak: Keycloak, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr("zt.people.kept.time.time", lambda: now)
    keeper().keep("olga", LOGIN)
    now += SIGN_IN_LIFE - 1
    assert await keeper().resume()
    now += 1

    assert await keeper().resume() is None


async def test_after_what_keycloak_refuses_a_person_signs_in(keycloak: Keycloak, runtime: Path) -> None:
    keeper().keep("olga", LOGIN)
    keycloak.status = 400

    assert await keeper().resume() is None


async def test_nothing_is_done_as_somebody_else_than_who_is_expected(keycloak: Keycloak, runtime: Path) -> None:
    keeper().keep("olga", LOGIN)

    with pytest.raises(CommandError, match="olga is signed in, not omar: nothing was done"):
        await keeper().resume("omar")
    assert await keeper().resume("OLGA")


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def _large(file: Path) -> None:
    file.write_text(" " * (MAX_FILE + 1))


def _other(**changed: Any) -> Any:
    def change(file: Path) -> None:
        file.write_text(json.dumps(json.loads(file.read_text()) | changed))

    return change


@pytest.mark.parametrize(
    "change",
    [_pipe, _large, _other(more=1), _other(until="1"), _other(key="AAAA")],
    ids=["pipe", "large", "more", "of another type", "no key"],
)
async def test_a_file_that_is_not_as_zt_has_written_it_is_refused(
    keycloak: Keycloak, runtime: Path, change: Any
) -> None:
    keeper().keep("olga", LOGIN)
    change(file_in(runtime))

    for attempt in keeper().resume, keeper().end:
        with pytest.raises(CommandError, match="Find out why, and remove it") as refused:
            await attempt()
        assert refused.value.reason == "sign_in_unfit"
    assert keycloak.asked == []


async def test_a_file_of_another_account_is_refused(
    keycloak: Keycloak, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper().keep("olga", LOGIN)
    own = os.geteuid()
    monkeypatch.setattr("zt.people.kept.os.geteuid", lambda: own + 1)

    with pytest.raises(CommandError, match="another account's"):
        await keeper().resume()
    assert keycloak.asked == []


async def test_where_nothing_can_be_kept_nothing_is(keycloak: Keycloak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", NO_PLACE)
    assert (keeper().keep("olga", LOGIN), await keeper().resume(), await keeper().end()) == (False, None, None)


async def test_without_a_runtime_folder_it_is_kept_in_the_home(
    keycloak: Keycloak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert keeper().keep("olga", LOGIN)
    assert file_in(tmp_path / ".cache").name.startswith("zt-")


# --- with the commands ------------------------------------------------------------------------------------------------


@pytest.fixture
def registered() -> Registered:
    return Registered({"GET /parties": (200, {"parties": []})})


@pytest.fixture
def zt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registered: Registered, ca: CA, registry: Registry
) -> Iterator[Zt]:
    """Run `zt` against the genuine registry, as olga, who is signed in once."""
    place = Place.of(registry, deployment(), issuer=ISSUER, ca=tmp_path / "ca.pem")
    with served(registered, *ca.party(tmp_path, *NAMES)) as port:
        program = program_at(monkeypatch, place, port, ca)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
        yield program


def test_a_second_command_needs_no_sign_in_and_a_logout_ends_it(
    zt: Zt, keycloak: Keycloak, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert zt("party", "list").exit_code == 0
    kept_file = file_in(tmp_path / "runtime")
    content = json.loads(kept_file.read_text())
    kept_file.write_text(json.dumps(content))  # by an editor, with the same mode

    async def nobody(*_: object, **__: object) -> Login:
        raise AssertionError("a sign-in")

    monkeypatch.setattr(browser, "sign_in", nobody)
    from tests.support.operator import KEY as OPERATORS_KEY

    assert content["key"] == OPERATORS_KEY.private
    assert zt("party", "list").exit_code == 0
    assert signed_out == []

    out = zt("logout")
    assert (out.exit_code, out.stdout) == (0, "Signed out: olga at the registry.\n")
    assert keycloak.asked[-1]["id_token_hint"] == "i"
    assert not kept_file.exists()
    assert zt("logout", "--json").stdout == '{"signed_out": []}\n'


def test_a_logout_that_keycloak_does_not_confirm_deletes_the_file_and_says_so(
    zt: Zt, keycloak: Keycloak, tmp_path: Path
) -> None:
    zt("party", "list")
    keycloak.status = 503

    assert "Keycloak did not confirm the sign-out" in failed(zt("logout"))
    assert not [*(tmp_path / "runtime/zt").iterdir()]


def test_no_other_command_uses_the_file_at_that_time(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that refresh at once would use one refresh token twice, which ends the sign-in."""
    locked = list[bool]()

    def write(*_: object) -> bool:
        folder = os.open(runtime / "zt", os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked.append(True)
        finally:
            os.close(folder)
        return True

    monkeypatch.setattr(Keeper, "_write", write)
    keeper().keep("olga", Login(access_token="a", refresh_token="r", id_token="i", expires_in=60, key=Key()))

    assert locked == [True]
