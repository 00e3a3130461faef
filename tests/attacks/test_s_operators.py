"""S. Operators, terminals, sessions: who keeps an operator out, or has their terminal do something."""

import asyncio
import contextlib
import io
import shutil
import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from rich.errors import MarkupError

from registration import register
from registration.derive import as_text
from start import program
from testkit.browser import destination
from testkit.issuer import ISSUER, metadata
from tests.support.attack import REGISTRY, Attempt, Scene, Tries, attack
from tests.support.attack_registry import Registered, with_registry
from tests.support.records import CALLER
from tests.support.system import ROOT, registry
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided
from zerotrust.audit.event_types import Request
from zerotrust.audit.forms import sanitize
from zerotrust.authority.files.lock import LOCK, load_lock
from zerotrust.decision import Reason
from zt import show
from zt.audit.trail import trail
from zt.people import browser, device
from zt.people.login import Client, LoginError
from zt.terminal import Terminal

READER, WRITER, TOOL = (
    f"spiffe://agents.example/{name}" for name in ("agent/reader", "agent/writer", "tool/documents")
)
HOSTILE = "\x1b]0;owned\x07 \u202egnp"


class Listening(Scene):
    """An operator's `zt` that waits for the redirect, and an issuer that notes which codes are redeemed."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.redeemed: list[str] = []

    async def _issuer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=metadata())
        self.redeemed += parse_qs(request.content.decode())["code"]
        return httpx.Response(400, json={"error": "invalid_grant"})  # for want of the verifier

    async def sent(self, **back: str) -> str:
        """What the listener answers a redirect with these parameters; `state=""` is the right one."""
        client = Client(ISSUER, "zt", "registry.admin", ssl.create_default_context())
        told: list[int] = []
        sending: list[asyncio.Task[None]] = []

        async def send(asked: dict[str, str]) -> None:
            query = urlencode(back | {"state": back["state"] or asked["state"]})
            async with httpx.AsyncClient(trust_env=False) as http:
                told.append((await http.get(f"{asked['redirect_uri']}?{query}")).status_code)
                # The operator's own redirect, which ends it where that has not.
                await http.get(f"{asked['redirect_uri']}?{urlencode({'state': asked['state'], 'iss': ISSUER})}")

        def opened(address: str) -> None:
            sending.append(asyncio.create_task(send(dict(parse_qsl(urlsplit(destination(address)).query)))))

        with pytest.MonkeyPatch.context() as patch:
            transport = httpx.MockTransport(self._issuer)
            patch.setattr(Client, "http", lambda _, **__: httpx.AsyncClient(transport=transport))
            with pytest.raises(LoginError):
                await browser.sign_in(client, say=lambda *_: None, opened=opened)
            with suppress(httpx.HTTPError):  # by then nobody listens any more
                await asyncio.gather(*sending)
        return str(told[0])


@attack(223, Listening)
async def test_a_code_of_somebody_else_is_sent_to_zt(listening: Listening) -> Tries:
    """Any page in the browser can do so: it signs the operator in as the attacker, or ends the sign-in (RFC 9207)."""
    for back in ({"state": "guessed", "iss": ISSUER}, {"state": "", "iss": "https://attacker.test"}):
        told = await listening.sent(code="stolen", **back)
        yield Attempt(told, "stolen" in listening.redeemed)


class Approving(Scene):
    """A copy of the project, whose owner runs `make register`."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.root = place / "project"
        for folder in [*registry().measured.values(), "zerotrust", "evidence", "policies"]:
            shutil.copytree(ROOT / folder, self.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "start", self.root / "start", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("registry.yaml", "docker-compose.yml"):
            shutil.copy(ROOT / name, self.root)

    def shown(self) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            wrong = register.write(self.root)
        return out.getvalue() + (wrong or "")


@attack(552, Approving)
async def test_a_file_name_that_repaints_the_terminal(owner: Approving) -> Tries:
    """Of a back door in a party's folder; or of a file that only the lock of the same commit has."""
    name = "agents/reader/zz\x1b[40A\x1b[J\nNothing to approve.\x1b[8m.py"
    await asyncio.to_thread(owner.shown)
    (owner.root / name).touch()
    shown = await asyncio.to_thread(owner.shown)
    by = "measured-name-printable and approval-line-escaped"
    yield Attempt("as it is", "\x1b" in shown or "\nNothing" in shown).stopped_by(by)
    (owner.root / name).unlink()
    lock = load_lock(owner.root / LOCK)
    (owner.root / LOCK).write_text(as_text(lock.model_copy(update={"files": lock.files | {name: "0" * 64}})))
    shown = await asyncio.to_thread(owner.shown)
    yield Attempt("as it is", "\x1b" in shown or "\nNothing" in shown).stopped_by("approval-line-escaped")


class Arguments(Scene):
    """What all accounts of the machine can read of the browser of an operator who signs in, and the address there."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._listing = place / "arguments"
        self._browser = place / "browser"
        self._browser.write_text(f"#!/bin/sh\nps -ww -o args= -p $PPID -p $$ > '{self._listing}'\n")
        self._browser.chmod(0o755)

    async def seen(self) -> tuple[str, str]:
        """The arguments of the two processes that open it, and the address."""
        told: list[str] = []

        def opened(address: str) -> None:
            browser.open_page(address)
            browser._opened.pop().wait()
            raise LoginError("nobody is there")

        client = Client(ISSUER, "zt", "registry.admin", ssl.create_default_context())
        with pytest.MonkeyPatch.context() as patch:
            transport = httpx.MockTransport(lambda _: httpx.Response(200, json=metadata()))
            patch.setattr(Client, "http", lambda _, **__: httpx.AsyncClient(transport=transport))
            patch.setenv("BROWSER", str(self._browser))
            with pytest.raises(LoginError, match="nobody is there"):
                await browser.sign_in(client, say=lambda _, facts: told.append(facts["uri"]), opened=opened)
        return self._listing.read_text(), told[0]


@attack(270, Arguments)
async def test_the_state_of_a_sign_in_is_read_from_arguments(arguments: Arguments) -> Tries:
    """Who knows it can end the sign-in, or have `zt` act as somebody else."""
    seen, address = await arguments.seen()
    [state] = parse_qs(urlsplit(address).query)["state"]
    yield Attempt("not there" if "zt-" in seen else "there", state in seen)


class Sent(Scene):
    """An operator's `zt --device`, and an issuer that names a page for the code."""

    async def told(self, page: str) -> tuple[str, str]:
        """What the operator is told to open, and how it ends."""
        begun = {"device_code": "c", "user_code": "u", "verification_uri": page, "expires_in": 300}
        answers = {"GET": metadata(device_authorization_endpoint=f"{ISSUER}/device"), "POST": begun}
        told: list[str] = []
        client = Client(ISSUER, "zt", "registry.admin", ssl.create_default_context())

        def say(text: str, _facts: object) -> None:
            told.append(text)
            raise LoginError("told")

        with pytest.MonkeyPatch.context() as patch:
            transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.method]))
            patch.setattr(Client, "http", lambda _, **__: httpx.AsyncClient(transport=transport))
            with pytest.raises(LoginError) as ended:
                await device.sign_in(client, say=say)
        return "".join(told), str(ended.value)


@attack(271, Sent)
async def test_an_operator_is_sent_to_a_page_elsewhere(sent: Sent) -> Tries:
    """There, a copy of Keycloak's form would be given the password."""
    told, ended = await sent.told("https://attacker.test/device")
    yield Attempt("not shown" if "is not at" in ended else ended, "attacker.test" in told)


class Screen(Scene):
    """A terminal; nothing else is there."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.file = io.StringIO()
        self.terminal = Terminal(file=self.file, width=160)


@attack(182, Screen)
async def test_a_cause_that_a_terminal_would_obey_is_listed(screen: Screen) -> Tries:
    """Names and causes also come from Keycloak, so whatever is listed is escaped."""
    one = {"kind": "session", "name": HOSTILE, "cause": HOSTILE, "since": 1795000000}
    party = {"name": "zt", "keycloak": "confidential", "state": "suspended", "since": None, "cause": HOSTILE}
    for table in (show.revocations([one]), show.parties([party])):
        screen.terminal.print(table)
        printed = screen.file.getvalue()
        yield Attempt("escaped" if "\\x1b" in printed else "raw", any(c in printed for c in "\x1b\x07\u202e"))


@attack(183, Screen)
async def test_a_document_ends_the_walkthrough_with_its_markup(screen: Screen) -> Tries:
    """Rich reads `[/red]` in a string as the end of a style, and raises where none began."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "console", screen.terminal)
        try:
            program.say("the task finished: [/red] [bold]Filed[/bold]")
            broken = False
        except MarkupError:
            broken = True
    yield Attempt("printed", broken or "[/red] [bold]Filed[/bold]" not in screen.file.getvalue())


@attack(387, Screen)
async def test_a_record_about_a_token_of_another(screen: Screen) -> Tries:
    """The reader says first that the writer presents the reader's token; and that the tool was called once more."""
    honest = replace(CALLER, party=READER, actors=(READER,), audience=TOOL, token_id="t1", lineage=("t0",))

    def said(by: str, what: str, token: Caller, time: int) -> AuditEvent:
        request = Request(operation=sanitize(what), decision=Decided(allowed=True, reason="granted"), principal=token)
        return AuditEvent(schema=1, time=time, service=by, data=request)

    true = said(TOOL, "deleted", honest, 2)
    screen.terminal.print(trail([said(READER, "lie", replace(honest, party=WRITER), 1), true]))
    label = next(line for line in screen.file.getvalue().splitlines()[::-1] if "→" in line)
    yield Attempt("as the tool has it", "agent/writer → tool/documents" in label)

    screen.terminal.print(trail([true, said(READER, "lie", honest, 3)]))
    yield Attempt("with its author", screen.file.getvalue().endswith("lie\n"))


@attack(184, with_registry)
async def test_a_revocation_is_named_so_that_a_terminal_would_obey(target: Registered) -> Tries:
    """The registry takes no control character, no mark of direction and no line break into a name or a cause."""
    token = target.operating()
    for text in ("\x1b[2J", "a\nb", "\u202egnp", "\u2028", "\u200b", "\x00", "\x9b2J"):
        for path, body in (
            ("/revocations", {"kind": "session", "name": text, "cause": "a theft"}),
            ("/revocations", {"kind": "session", "name": "s1", "cause": text}),
            ("/parties/agent/reader/suspend", {"cause": text}),
        ):
            tried = await target.send(REGISTRY, token, path=path, body=body)
            tried.effect = tried.answer.status_code == 200
            yield tried


@attack(221, with_registry)
async def test_two_operators_revoke_each_other_at_the_same_moment(target: Registered) -> Tries:
    """No operator revokes themselves, so one is always left, if the second of the two requests is refused."""
    both, names = asyncio.Barrier(2), ("olga", "olivia")

    async def user_id(name: str) -> str:
        await both.wait()  # both requests are past the gate
        return name

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target.clients, "user_id", user_id)
        tried = await asyncio.gather(
            *(
                target.send(
                    REGISTRY,
                    target.operating(sub=own),
                    path="/revocations",
                    body={"kind": "user", "name": other, "cause": "a coup"},
                )
                for own, other in (names, names[::-1])
            )
        )
    refused = max(tried, key=lambda one: one.answer.status_code)
    yield Attempt(
        str(refused.answer.status_code),
        all(("user", name) in target.system.revocations.revoked for name in names),
        refused.reasons,
        Reason.REVOKED,
    )
