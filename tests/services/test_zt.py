"""`zt` at a door of its own: what it asks the registry, what it tells the operator, and whom it tells nothing."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import orjson
import pytest
from syrupy.assertion import SnapshotAssertion
from typer.testing import CliRunner

import zt.commands as program
from start.keycloak.options import URL
from tests.support.audit_log import small
from tests.support.operator import (
    NAMES,
    NO_PLACE,
    Registered,
    Zt,
    failed,
    login_of,
    program_at,
    served,
    signed_out,
    signs_in,
    token_of,
)
from tests.support.pki import CA
from tests.support.printed import session
from tests.support.records import CALLER
from tests.support.system import ROOT, deployment
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import sanitize
from zerotrust.audit.segments import Segments
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.registry.model import Registry
from zerotrust.spiffe.tls import ExpiringTLS
from zt import show
from zt.__main__ import main
from zt.errors import STARTED_BY
from zt.operators import Settings
from zt.people import authority_client, browser, device
from zt.people import sign_in as module
from zt.people.authorities import Place
from zt.people.login import Client, Login, LoginError

READER: dict[str, Any] = {
    "name": "agent/reader",
    "id": "spiffe://agents.example/agent/reader",
    "keycloak": "confidential",
    "starts_chains": False,
    "state": "active",
    "cause": None,
    "since": None,
    "code": "1" * 64,
    "may_call": ["tool/documents", "inference"],
    "delegates": ["tool.read", "inference.run", "llama.chat"],
}
SUSPENDED = READER | {"state": "suspended", "cause": "seen [red]reading[/red]", "since": 1795000000}


OLGAS = token_of("olga")
T1 = "ntrtte:ab9b7532-7a78-a9ad-7123-3f0676947bdf"
SESSION = "-PQjfx14_b"


def revoked(*listed: tuple[str, str, str], entries: int = 0) -> dict[str, Any]:
    """The registry's answer of what is revoked: kind, name and cause of each; `entries`, with those not listed."""
    found = [{"kind": kind, "name": name, "cause": cause, "since": 1795000000} for kind, name, cause in listed]
    sources = {"attestation": 0.34, "keycloak": 1.0}
    return {"number": 12, "sources": sources, "entries": entries or len(found), "revoked": found}


@pytest.fixture
def registered() -> Registered:
    return Registered()


@pytest.fixture
def place(tmp_path: Path, registry: Registry) -> Place:
    """Where the registry is, but for its port; the CA is there."""
    return Place.of(registry, deployment(), issuer=f"{URL}/realms/{registry.realm}", ca=tmp_path / "ca.pem")


@pytest.fixture
def zt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registered: Registered, place: Place, ca: CA) -> Iterator[Zt]:
    """Run `zt` against the genuine registry, as olga."""
    with served(registered, *ca.party(tmp_path, *NAMES)) as port:
        yield program_at(monkeypatch, place, port, ca)


# --- the session ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 403, 500])
def test_a_session_ends_with_its_command_whatever_the_registry_answers(
    zt: Zt, registered: Registered, status: int
) -> None:
    registered.answers["GET /parties"] = (status, {"parties": [], "reason": "policy_denied"})

    zt("party", "list")

    assert signed_out == [OLGAS]


def test_where_keycloak_does_not_end_the_session_the_command_has_succeeded_all_the_same(
    zt: Zt, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_asked: object) -> None:
        raise LoginError("the session did not end: status 503")

    registered.answers["GET /parties"] = (200, {"parties": []})
    monkeypatch.setattr(module, "sign_out", away)

    assert zt("party", "list").exit_code == 0


UNDER_WAY = """
import asyncio, contextlib, signal, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv.pop(1))
again, ignored = sys.argv.pop(1), sys.argv.pop(1)
for number in signal.SIGTERM, signal.SIGHUP:  # whatever runs these tests may have them ignored
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
import jwt
from zt import __main__ as program; from zt.people import browser, sign_in as signing_in
from zt.people.authority_client import AuthorityClient
from zt.people.key import Key
from zt.people.login import Login

async def sign_in(*_, **__):
    token = jwt.encode({"preferred_username": "olga"}, "", algorithm="none")
    return Login(access_token=token, refresh_token="", id_token="", expires_in=60, key=Key())

async def sign_out(*_):
    if again:
        signal.raise_signal(int(again))
    await asyncio.sleep(0)
    print("signed out", flush=True)

async def ask(*_):
    print("asked", flush=True)
    await asyncio.sleep(30)  # a signal that comes just before the loop waits is seen when it wakes

browser.is_usable, browser.sign_in = lambda: True, sign_in
signing_in.client_at, signing_in.sign_out = lambda *_, **__: SimpleNamespace(issuer="", client_id="zt"), sign_out
signing_in.user_client = lambda *_, **__: contextlib.nullcontext()
AuthorityClient.ask = ask
program.main()
"""


@pytest.mark.parametrize(
    ("number", "again", "ignored"),
    [
        (signal.SIGINT, "", ""),
        (signal.SIGTERM, "", ""),
        (signal.SIGTERM, "", "SIGINT"),
        (signal.SIGHUP, "", ""),
        (signal.SIGHUP, int(signal.SIGTERM), ""),
    ],
)
def test_a_command_that_a_signal_ends_signs_out(number: signal.Signals, again: object, ignored: str) -> None:
    command = [sys.executable, "-c", UNDER_WAY, str(ROOT), str(again), ignored, "reload"]
    pipe, nothing_kept = subprocess.PIPE, os.environ | {"XDG_RUNTIME_DIR": NO_PLACE}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=nothing_kept) as process:  # noqa: S603
        assert process.stdout
        assert process.stdout.readline() == "asked\n"
        process.send_signal(number)
        try:
            printed, errors = process.communicate(timeout=120)
        finally:
            process.kill()  # one that does not end fails the test, instead of holding it

    assert (process.returncode, printed) == (130, "signed out\n")
    assert "Traceback" not in errors


def test_a_signal_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    given = signal.getsignal(signal.SIGHUP)
    monkeypatch.setattr(program, "app", lambda **_: None)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        main()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, given)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_token_that_does_not_say_who_signed_in_is_not_used(
    zt: Zt, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = urlsafe_b64encode(b'{"a":' + b"[" * 200_000).decode()
    for token in (token_of(None), "opaque", f"a.{deep}.c"):
        signs_in(monkeypatch, None, token=token)

        assert failed(zt("party", "list")).startswith("Keycloak's token does not name the user")
        assert (registered.asked, signed_out.pop()) == ([], token)


@pytest.mark.parametrize(
    ("usable", "more", "way"),
    [(True, {}, browser), (False, {}, device), (True, {"ZT_DEVICE": "1"}, device), (True, {"ZT_DEVICE": "0"}, browser)],
)
def test_where_no_browser_can_be_opened_or_a_code_is_wanted_the_operator_signs_in_by_a_code(
    zt: Zt, registered: Registered, monkeypatch: pytest.MonkeyPatch, usable: bool, more: dict[str, str], way: ModuleType
) -> None:
    asked = []
    for one in (browser, device):

        async def sign_in(_client: Client, *, one: ModuleType = one, **_more: object) -> Login:
            asked.append(one)
            return login_of("olga")

        monkeypatch.setattr(one, "sign_in", sign_in)
    monkeypatch.setattr(browser, "is_usable", lambda: usable)
    registered.answers["GET /parties"] = (200, {"parties": []})

    assert zt("party", "list", env=more).exit_code == 0
    assert asked == [way]


# --- what is done -----------------------------------------------------------------------------------------------------


COMMANDS: dict[str, tuple[str, Any, Any]] = {
    "party list": ("GET /parties", None, {"parties": [READER, SUSPENDED | {"name": "inference"}]}),
    "party show agent/reader": (
        "GET /parties/agent/reader",
        None,
        READER | {"card": "2" * 64, "tools": {"read": "3" * 64}},
    ),
    "party suspend agent/reader --because odd": (
        "POST /parties/agent/reader/suspend",
        {"cause": "odd"},
        {"party": SUSPENDED, "keycloak": "not applicable: x"},
    ),
    "party suspend agent/writer": (
        "POST /parties/agent/writer/suspend",
        {"cause": "suspended by olga"},
        {"party": SUSPENDED, "keycloak": "notified"},
    ),
    "party reinstate agent/reader --because checked": (
        "POST /parties/agent/reader/reinstate",
        {"cause": "checked"},
        {"party": READER, "keycloak": "notified"},
    ),
    "reinstate alice": ("POST /reinstatements", {"kind": "user", "name": "alice"}, {"keycloak": "notified"}),
    "revoke user alice": (
        "POST /revocations",
        {"kind": "user", "name": "alice", "cause": "revoked by olga"},
        {"keycloak": "notified"},
    ),
    "revoke session a1b2 --in-advance --because odd": (
        "POST /revocations",
        {"kind": "session", "name": "a1b2", "cause": "odd"},
        {"keycloak": "notified"},
    ),
    f"revoke session {SESSION} --in-advance": (
        "POST /revocations",
        {"kind": "session", "name": SESSION, "cause": "revoked by olga"},
        {"keycloak": "notified"},
    ),
    f"revoke token {T1} --in-advance": (
        "POST /revocations",
        {"kind": "token", "name": T1, "cause": "revoked by olga"},
        {"keycloak": "notified"},
    ),
    "revocations": ("GET /revocations", None, revoked(("user", "alice", "odd"), entries=1234)),
    "reload": ("POST /reload", None, {"changed": ["agent/reader", "zt"]}),
}
"""What is typed; what the registry is asked with which body; and what it answers."""


def test_each_command_asks_the_registry_once_and_tells_its_answer(
    zt: Zt, registered: Registered, snapshot: SnapshotAssertion
) -> None:
    registered.answers = {route: (200, answer) for route, _, answer in COMMANDS.values()}

    assert session(zt, *COMMANDS) == snapshot
    assert registered.asked == [(route, sent, f"DPoP {OLGAS}") for route, sent, _ in COMMANDS.values()]
    for command, (route, _, answer) in COMMANDS.items():
        registered.answers[route] = (200, answer)  # two commands have the same route
        as_json = zt(*command.split(), "--json")
        assert (as_json.exit_code, orjson.loads(as_json.stdout), as_json.stderr) == (0, answer, "")
    approved = rf"code +{'1' * 64} *\ncard +{'2' * 64} *\ntools +read {'3' * 64}"
    assert re.search(approved, zt("party", "show", "agent/reader").stdout)


UNCONFIRMED = {"party": SUSPENDED, "keycloak": "unconfirmed: no answer within 10 s"}


def test_what_keycloak_did_not_confirm_is_told_and_is_no_success(
    zt: Zt, registered: Registered, snapshot: SnapshotAssertion
) -> None:
    registered.answers = {
        "POST /revocations": (200, UNCONFIRMED),
        "POST /parties/agent/reader/suspend": (200, UNCONFIRMED),
        "POST /parties/agent/reader/reinstate": (200, UNCONFIRMED | {"party": READER}),
    }
    commands = "revoke user alice", "party suspend agent/reader", "party reinstate agent/reader"

    assert session(zt, *commands) == snapshot
    shown = zt("revoke", "user", "alice", "--json")
    assert (shown.exit_code, orjson.loads(shown.stdout)) == (1, UNCONFIRMED)
    assert orjson.loads(shown.stderr)["reason"] == "keycloak_unconfirmed"


@pytest.mark.parametrize(
    "name", ["T1", "onrtac:", f"{T1}0", f"{T1} ", f"{T1}\n", "1NR6TImGm6IbbKYu4YBc_Wjv", "", T1.upper()]
)
def test_what_can_be_no_tokens_id_is_reported_and_nobody_is_asked(zt: Zt, registered: Registered, name: str) -> None:
    told = failed(zt("revoke", "token", name))

    assert told.startswith("Nothing was revoked: no token has the id ")
    assert registered.asked == []


def recorded(place: Place, **of_token: str) -> None:
    """A record of a call with that token, in the journals that `zt` reads."""
    journal = Segments(place.ca.parent / "journals" / "orchestrator" / "journal.jsonl")
    data = Request(
        operation=sanitize(f"GET /{T1}/{SESSION}"),
        decision=Decided(allowed=True, reason="granted"),
        principal=replace(CALLER, **of_token),  # type: ignore[arg-type] # all of them are texts
    )
    journal.commit([AuditEvent(schema=1, time=1, service=CALLER.audience, data=data).canonical()])
    journal.close()


@pytest.mark.parametrize(("kind", "name", "of"), [("token", T1, "token_id"), ("session", SESSION, "session")])
def test_what_no_record_names_is_not_revoked_unless_in_advance(
    zt: Zt, registered: Registered, place: Place, kind: str, name: str, of: str
) -> None:
    registered.answers["POST /revocations"] = (200, {"keycloak": "notified"})
    folder = place.ca.parent / "journals"

    told = failed(zt("revoke", kind, name))
    assert told.startswith(f"Nothing was revoked.  The {kind} {name} cannot be looked up: There are no journals in")
    recorded(place)
    assert failed(zt("revoke", kind, name)) == (
        f"Nothing was revoked.  No record in {folder} names the {kind} {name}: check the id.  To revoke it all the "
        "same: --in-advance."
    )
    assert registered.asked == []

    assert zt("revoke", kind, name, "--in-advance").exit_code == 0
    recorded(place, **{of: name})
    assert zt("revoke", kind, name).exit_code == 0
    assert [what for what, *_ in registered.asked] == ["POST /revocations"] * 2


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../revocations", "agent/../../revocations", "agent/reader?x", "agent/reader\n", "", "é"]
)
@pytest.mark.parametrize("command", ["show", "suspend", "reinstate"])
def test_what_can_be_no_partys_name_is_reported_and_nobody_is_asked(
    zt: Zt, registered: Registered, command: str, name: str
) -> None:
    shown = zt("party", command, name)

    assert failed(shown) == f"There is no party {name}: `zt party list` lists them all."
    assert registered.asked == []


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"\xff", b'{"a":' + b"[" * 200_000])
def test_an_answer_that_is_none_is_reported(zt: Zt, registered: Registered, answer: bytes) -> None:
    registered.answers["GET /parties"] = (200, answer)

    assert failed(zt("party", "list")).startswith("The registry did not answer with JSON")


def test_an_answer_that_breaks_off_leaves_open_what_was_done(
    zt: Zt, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> tuple[int, bytes]:
        raise httpx.ReadTimeout("no whole answer within 10 s")

    monkeypatch.setattr(authority_client, "ask", broken)

    assert "gave no answer (no whole answer within 10 s): it may have been done" in failed(zt("reload"))


def test_a_system_that_does_not_run_is_reported(place: Place, monkeypatch: pytest.MonkeyPatch, ca: CA) -> None:
    zt = program_at(monkeypatch, place, 1, ca)
    assert failed(zt("party", "list")).startswith(f"The registry does not answer at https://{NAMES[0]} (")

    place.ca.unlink()
    assert failed(zt("party", "list")) == f"There is no {place.ca}: is the system running? {STARTED_BY}"


# --- whom it tells nothing --------------------------------------------------------------------------------------------


READERS = ("reader.agent.agents.example", "spiffe://agents.example/agent/reader")
ANSWERING: dict[str, tuple[tuple[str, ...], bool, int, str]] = {
    "another party": (READERS, True, 1, "not_the_registry"),
    "another party under that name": ((NAMES[0], READERS[1]), True, 1, "not_the_registry"),
    "that name without an identity": (NAMES[:1], True, 1, "not_the_registry"),
    "two identities": ((*NAMES, READERS[1]), True, 1, "not_the_registry"),
    "another name": (("localhost", NAMES[1]), True, 1, "not_the_registry"),
    "another CA": (NAMES, False, 1, "not_the_registry"),
    "an expired certificate": (NAMES, True, -1, "registry_certificate_expired"),
    "an expired one of another party": (READERS, True, -1, "not_the_registry"),
    "an expired one of another CA": (NAMES, False, -1, "not_the_registry"),
}
"""Who answers in the registry's place: the names in its certificate, whether our CA signed it, its days, the reason."""


@pytest.mark.parametrize("who", ANSWERING)
def test_who_does_not_prove_to_be_the_registry_never_sees_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place, ca: CA, who: str
) -> None:
    """An expired certificate of the registry's own is not taken for that of an impostor."""
    names, ours, days, reason = ANSWERING[who]
    somebody = Registered()
    with served(somebody, *(ca if ours else CA()).party(tmp_path, *names, days=days)) as port:
        shown = program_at(monkeypatch, place, port, ca)("party", "list", "--json")

    assert (shown.exit_code, shown.stdout, somebody.asked) == (1, "", [])
    told = orjson.loads(shown.stderr)
    assert told["reason"] == reason
    assert "nothing was sent to it" in told["error"]
    assert ("approve them by `make register`" in told["error"]) == (reason == "registry_certificate_expired")


# --- who answers ------------------------------------------------------------------------------------------------------

ATTESTATION = "attestation.authority.agents.example"


@contextlib.contextmanager
def answering(
    monkeypatch: pytest.MonkeyPatch, place: Place, keycloak: tuple[Path, Path], parties: dict[str, tuple[Path, Path]]
) -> Iterator[list[Registered]]:
    """A system of these parties, by DNS name, and of one that does not answer; gives all that may be asked."""
    monkeypatch.setattr(ExpiringTLS, "longest", float("inf"))
    with contextlib.ExitStack() as stack:
        asked = [Registered() for _ in range(len(parties) + 1)]
        port, *ports = [
            stack.enter_context(served(one, *files))
            for one, files in zip(asked, (keycloak, *parties.values()), strict=True)
        ]
        places: dict[str, Any] = {name: ("127.0.0.1", port) for name, port in zip(parties, ports, strict=True)}
        attestation = ("authority/attestation", ATTESTATION, places.pop(ATTESTATION, ("127.0.0.1", 1)))
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))  # and does not listen
            places["writer.agent.agents.example"] = nobody.getsockname()
            places["documents.tool.agents.example"] = ("elsewhere.invalid", 443)
            there = replace(
                place,
                attestation=attestation,
                issuer=f"https://localhost:{port}/realms/agents",
                directory=replace(place.directory, places=places),
            )
            monkeypatch.setattr(Settings, "place", lambda _: there)
            yield asked


def test_who_answers_is_shown_without_a_sign_in_and_nobody_is_sent_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place, ca: CA
) -> None:
    place.ca.write_bytes(ca.pem)
    monkeypatch.setattr(browser, "is_usable", lambda: pytest.fail("a sign-in"))
    parties = {
        READERS[0]: CA().party(tmp_path, *READERS),
        NAMES[0]: ca.party(tmp_path, *NAMES),
        ATTESTATION: ca.party(tmp_path, ATTESTATION, days=-1),
    }
    with answering(monkeypatch, place, ca.server(tmp_path), parties) as asked:
        shown = CliRunner().invoke(program.app, ["status"])
        as_json = CliRunner().invoke(program.app, ["status", "--json"])

    assert shown.exit_code == as_json.exit_code == 0, shown.output
    assert {one["name"]: one["state"] for one in orjson.loads(as_json.stdout)["parties"]} == {
        "keycloak": "verified",
        "authority/attestation": "expired",
        "authority/registry": "verified",
        "agent/reader": "unverified",
        "agent/writer": "unreachable",
        "tool/documents": "unresolved",
    }
    lines = shown.output.splitlines()
    names = ("keycloak", "authority/attestation", "agent/reader", "agent/writer", "tool/documents")
    for name, (_, told) in zip(names, show.SEEN.values(), strict=True):
        assert [line.split()[0] for line in lines if line.rstrip().endswith(told) and name in line] == [name]
    assert [one.asked for one in asked] == [[]] * 4


@pytest.mark.parametrize("who", ["keycloak", "of another name", "of another identity", "of another ca", "expired"])
def test_it_is_no_success_where_keycloak_or_the_registry_does_not_prove_who_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place, ca: CA, who: str
) -> None:
    place.ca.write_bytes(ca.pem)
    registrys = {
        "of another name": lambda: ca.party(tmp_path, *READERS),
        "of another identity": lambda: ca.party(tmp_path, NAMES[0], READERS[1]),
        "of another ca": lambda: CA().party(tmp_path, *NAMES),
        "expired": lambda: ca.party(tmp_path, *NAMES, days=-1),
    }.get(who, lambda: ca.party(tmp_path, *NAMES))()
    keycloak = (CA() if who == "keycloak" else ca).server(tmp_path)
    with answering(monkeypatch, place, keycloak, {NAMES[0]: registrys}):
        shown = CliRunner().invoke(program.app, ["status", "--json"])

    assert shown.exit_code == 1
    states = {one["name"]: one["state"] for one in orjson.loads(shown.stdout)["parties"]}
    assert states["keycloak"] == ("unverified" if who == "keycloak" else "verified")
    assert states["authority/registry"] == {"keycloak": "verified", "expired": "expired"}.get(who, "unverified")


# --- the policy of the audit log --------------------------------------------------------------------------------------


def test_the_policy_of_the_log_is_printed_as_the_registry_has_it_and_nobody_signs_in(
    zt: Zt, registered: Registered
) -> None:
    text = small().policy_text
    registered.answers["GET /audit-policy"] = (200, text.encode())

    shown = zt("audit", "policy")

    assert (shown.exit_code, shown.stdout) == (0, text)
    assert orjson.loads(zt("audit", "policy", "--json").stdout) == {"policy": text}
    assert registered.asked == [("GET /audit-policy", None, "")] * 2
    assert signed_out == []


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (404, b"", "no_policy"),
        (503, b"", "no_answer"),
        (200, b"\xff", "no_answer"),
        (200, b"log x", "malformed_policy"),
        (200, b"x" * (MAX_ANSWER + 1), "no_answer"),
    ],
)
def test_what_is_no_policy_is_reported(zt: Zt, registered: Registered, status: int, answer: bytes, reason: str) -> None:
    registered.answers["GET /audit-policy"] = (status, answer)

    shown = zt("audit", "policy", "--json")

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert orjson.loads(shown.stderr)["reason"] == reason
