"""S. The console: what a browser, another site, a stranger, a party or a thief gets from it."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import httpx
import jwt
import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.hops import Known
from console.log import LONGEST, LogReader
from console.oversight import Oversight
from console.pages import page
from console.run import BESIDES, MOST_AT_ONCE_OF_A_PERSON
from console.sessions import MOST, SESSION, Session, Sessions
from console.sign_in import AT_ONCE, MOST_AGAIN, MOST_CODES
from console.stream import follow
from console.tasks import MOST_EARLY, Tasks
from console.thief import MOST_LINES, Thief
from testkit.issuer import ISSUER
from testkit.party import principal
from testkit.wire import Wire
from tests.support.attack import Attempt, Scene, Target, Tries, attack, in_process
from tests.support.audit_log import Ledger, record
from tests.support.ca import the_ca, workload
from tests.support.console import AT, CONSOLE, Browser, Consoled, Realm, answered, consoled, published, reading, running
from tests.support.handshake import READER as READER_NAME
from tests.support.handshake import Handshake
from tests.support.issuer import Issuer
from tests.support.records import CALLER
from tests.support.system import ROOT, registry
from tests.support.thief import USED, FakeThief, fake_thief
from tests.support.tlog import witness
from tests.support.waiting import until
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided, Trace
from zerotrust.audit.event_types import Alarm, Data, Refusal, RegistryChange, Request
from zerotrust.audit.forms import Text
from zerotrust.audit.record import GENESIS, event_of
from zerotrust.authority.files.reading import RegistryError
from zerotrust.authority.files.snapshot_files import parse_registry
from zerotrust.authority.log.tiles import decode_bundle, encode_bundle
from zerotrust.hardening.in_flight import OF_A_PERSON
from zerotrust.registry.model import Registry
from zerotrust.service import Service
from zerotrust.spiffe.tls import issuer_context, server_context
from zerotrust.tlog.note import Note

TASK = "Read the incident reports and file a summary."
FRONT, READER, OURS = (f"spiffe://agents.example/{name}" for name in ("orchestrator", "agent/reader", CONSOLE))
TRACE = "4b" * 16
SCRIPT = "<script>alert(1)</script>"
MARKUP = re.compile(
    r"\.(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createContextualFragment"
)
"""What makes markup of text in a script."""


class Consoles(Scene):
    """The console with all that it needs."""

    def __init__(self, alive: Consoled) -> None:
        super().__init__(alive.system.folder)
        self.alive, self.system, self.realm = alive, alive.system, alive.realm


@asynccontextmanager
async def with_console(folder: Path, issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Consoles]:
    async with consoled(folder, Realm(issuer.registry, key=issuer.key)) as alive:
        yield Consoles(alive)


@attack(443, with_console)
async def test_a_form_of_another_site(consoles: Consoles) -> Tries:
    """The browser sends the person's cookie; one that knows `SameSite=Strict` does not."""
    alice, other = await consoles.alive.person("alice"), await consoles.alive.person("bob")
    own, foreign = await alice.form_token(), await other.form_token()
    for origin, token, by in (
        ("https://attacker.test", "", ("form-from-own-origin and form-token",)),
        ("https://attacker.test", own, ("form-from-own-origin",)),
        (AT, foreign, ("form-token",)),
    ):
        form = {"request": TASK, **({"form_token": token} if token else {})}
        answer = await alice.http.post("/tasks", data=form, headers={"origin": origin})
        yield Attempt(answer.text[:80], answer.status_code == 303).stopped_by(*by)


@attack(444, with_console)
async def test_an_answer_of_another_issuer(consoles: Consoles) -> Tries:
    """RFC 9207: a code of one issuer is not sent to another."""
    for iss in ({"iss": "https://attacker.test"}, {}):
        browser = consoles.alive.browser()
        asked = await browser.begin()
        answer = await browser.back(code=browser.code("alice", asked), state=asked["state"], **iss)
        yield Attempt(str(answer.status_code), answer.status_code == 200)


@attack(445, with_console)
async def test_a_token_of_another_client(consoles: Consoles) -> Tries:
    """A realm that is set up wrongly gives the console a token that another program may use."""
    consoles.realm.spoilt = {"azp": "walkthrough", "client_id": "walkthrough"}
    browser = consoles.alive.browser()
    asked = await browser.begin()
    answer = await browser.back(code=browser.code("alice", asked), state=asked["state"], iss=ISSUER)
    yield Attempt(str(answer.status_code), answer.status_code == 200)


@attack(446, with_console)
async def test_a_person_whose_session_was_revoked(consoles: Consoles) -> Tries:
    alice = await consoles.alive.person("alice")
    consoles.system.revocations.change(1, ("session", "session-of-alice"), "signed out elsewhere")
    page = (await alice.http.get("/")).text
    yield Attempt("the way in", "Signed in as" in page)


@attack(447, with_console)
async def test_another_users_task(consoles: Consoles) -> Tries:
    """By its address, in the stream, and in the list."""
    alice, bob = await consoles.alive.person("alice"), await consoles.alive.person("bob")
    await alice.hops(await alice.start(TASK))
    path = (await alice.http.get("/")).text.split('href="')
    [task] = [one[:39] for one in path if one.startswith("/tasks/")]
    rules = "task-of-its-owner", "all-tasks-for-operators"
    for address in (task, f"{task}/hops"):
        answer = await bob.http.get(address)
        yield Attempt(str(answer.status_code), answer.status_code == 200).stopped_by("task-as-permitted", *rules)
    yield Attempt("not in the list", task in (await bob.http.get("/")).text).stopped_by("listed-as-permitted", *rules)


@attack(448, with_console)
async def test_the_details_of_a_refusal(consoles: Consoles) -> Tries:
    """Records name the rule that was missed and the resource; no caller gets that."""
    alice = await consoles.alive.person("alice")
    hops = await alice.hops(await alice.start(TASK))
    assert any(one.get("reason") == "resource_denied" for one in hops)
    yield Attempt("reasons only", any("detail" in one for one in hops))


@attack(449, with_console)
async def test_a_script_in_a_page(consoles: Consoles) -> Tries:
    """In a user's name, and by way of anything else that a page shows."""
    consoles.realm.spoilt = {"preferred_username": "<script>alert(1)</script>"}
    alice = await consoles.alive.person("alice")
    answer = await alice.http.get("/")
    yield Attempt("as text", "<script>alert" in answer.text).stopped_by("Jinja2: autoescape")
    for path in ("/", "/callback", "/static/console.js", "/tasks/none"):
        headers = (await alice.http.get(path)).headers
        loose = "default-src 'none'" not in headers.get("content-security-policy", "")
        yield Attempt("nothing else runs", loose)


REGISTRY = registry()


def known() -> Known:
    return Known(dict.fromkeys(REGISTRY.parties, ()), {}, "", {})


class Records(Scene):
    """Records of a task of alice's, and those that a lying party adds."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.tasks, self.oversight, self.number = Tasks(FRONT, OURS, known), Oversight(lambda: REGISTRY), 0

    def take(self, service: str, data: Data, span: str = "1", trace: str = TRACE) -> None:
        spans = Trace(trace_id=trace, span_id=span * 16)
        event = AuditEvent(schema=1, time=1, service=service, data=data, trace=spans).canonical()
        self.number += 1
        entry = b'{"event":%b,"n":1,"prev":"%b"}' % (event, GENESIS.head.encode())
        self.tasks.take(self.number, event_of(entry), entry)
        self.oversight.take(event_of(entry))

    def call(self, operation: str, **changed: Any) -> Request:
        said = {name: getattr(CALLER, name) for name in CALLER.__slots__} | {"subject": "alice", "transaction": "T0"}
        return Request(
            operation=Text(operation),
            decision=Decided(allowed=True, reason="granted"),
            principal=Caller(**(said | changed)),
            permission="task.run",
        )

    @property
    def shown(self) -> list[str]:
        return [hop["what"] for task in self.tasks.latest(self.tasks.owners) for hop in task.hops() if "what" in hop]


@attack(450, Records)
async def test_a_party_that_writes_into_anothers_task(records: Records) -> Tries:
    """Or that begins one in a user's name."""
    records.take(FRONT, records.call("POST /tasks"))
    records.take(READER, records.call("planted", subject="bob"), "2")
    yield Attempt("not shown", "planted" in records.shown).stopped_by("hop-of-its-task")
    records.take(READER, Refusal(decision=Decided(allowed=False, reason="planted")), "3")
    yield Attempt("not shown", len(records.shown) > 1).stopped_by("hop-of-a-known-span")
    records.take(READER, records.call("POST /tasks"), "4", "5c" * 16)
    yield Attempt("not shown", records.shown.count("POST /tasks") > 1).stopped_by("task-begins-where-people-call")


@attack(451, Records)
async def test_a_party_that_floods_a_task(records: Records) -> Tries:
    records.take(FRONT, records.call("POST /tasks"))
    with patch("console.tasks.MOST_OF_A_PARTY", 10_000):
        for _ in range(30):
            records.take(READER, records.call("again"), "2")
    yield Attempt("a part is shown", records.shown.count("again") > 20)


@attack(467, Records)
async def test_a_user_who_fills_the_console_with_tasks(records: Records) -> Tries:
    """Refused ones, too: nobody needs a right for these."""
    records.take(FRONT, records.call("POST /tasks"))
    with patch("console.tasks.MOST_BYTES", 10_000):
        for number in range(30):
            records.take(FRONT, records.call("POST /tasks", subject="eve"), trace=f"{number:032x}")
    yield Attempt("the other's task is still there", "alice" not in records.tasks.owners)


@attack(468, Records)
async def test_a_script_in_what_the_console_shows(records: Records) -> Tries:
    """In a request, a record, a party's name or a rule: it comes as data, and the page makes text of it."""
    records.take(FRONT, records.call("POST /tasks"))
    records.take(FRONT, records.call(SCRIPT))
    names: dict[str, Any] = dict.fromkeys(("id", "owner", "time", "jaeger"), SCRIPT)
    session = Session(principal(), SCRIPT, "")
    shown = page(session, "task", task=records.tasks.find(TRACE), own=False, **names)
    yield Attempt("as text", SCRIPT.encode() in bytes(shown.body)).stopped_by("Jinja2: autoescape")
    for script in (ROOT / "console" / "static").glob("*.js"):
        yield Attempt(script.name, bool(MARKUP.search(script.read_text()))).stopped_by(
            "DOM: textContent, by a search of the scripts"
        )


@attack(469, Records)
async def test_a_party_that_invents_traces_until_records_of_a_task_are_forgotten(records: Records) -> Tries:
    """Those that came before the record with which the task begins."""
    records.take(READER, records.call("early"), "2")
    for number in range(2 * MOST_EARLY):
        records.take("spiffe://agents.example/agent/writer", records.call("invented"), trace=f"{number:032x}")
    records.take(FRONT, records.call("POST /tasks"))
    yield Attempt("it is shown", "early" not in records.shown)


@attack(481, Records)
async def test_another_users_task_in_the_place_of_ones_own(records: Records) -> Tries:
    """The trace is that of a task which the console has forgotten."""
    records.take(FRONT, records.call("POST /tasks"))
    seen, session = records.tasks.find(TRACE), Session(principal(subject="alice"), "", "")
    records.tasks = Tasks(FRONT, OURS, known)
    for operation in ("POST /tasks", "the other's"):
        records.take(FRONT, records.call(operation, subject="bob"))
    reader, runs = SimpleNamespace(look=list, problem="", cosigned=0), SimpleNamespace(find=lambda *_: None)
    with patch("console.stream.LONGEST", 0.2):
        how: dict[str, Any] = {"seen": seen, "explained": False, "after": -1}
        told = [str(one.data) async for one in follow(reader, records.tasks, runs, session, TRACE, **how)]  # type: ignore[arg-type]
    yield Attempt("it ends", any("the other's" in one for one in told))


class Signed(Scene):
    """Sessions."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.sessions = Sessions()

    def sign_in(self, user: str) -> str:
        return self.sessions.begin(Session(principal(subject=user, expires_at=2**40), user, ""))


@attack(452, Signed)
async def test_a_user_who_signs_in_without_end(signed: Signed) -> Tries:
    cookie = signed.sign_in("alice")
    for _ in range(MOST):
        signed.sign_in("mallory")
    yield Attempt("the other is still signed in", signed.sessions.find(cookie) is None)


@attack(454, with_console)
async def test_a_stream_that_stays_open(consoles: Consoles) -> Tries:
    """After a sign-out, and after the user was revoked."""

    async def busy(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(60)

    consoles.system.apps[consoles.system.addresses["orchestrator"]] = busy

    async def goes_on(user: str, end: Callable[[Browser], Awaitable[object]]) -> bool:
        browser = await consoles.alive.person(user)
        following = asyncio.create_task(browser.http.get(f"{await browser.start(TASK)}/hops"))
        await asyncio.sleep(0.1)
        await end(browser)
        done, _ = await asyncio.wait([following], timeout=2)
        following.cancel()
        return not done

    async def revoke(_browser: Browser) -> None:
        consoles.system.revocations.change(1, ("user", "bob"), "revoked")

    signs_out = await goes_on("alice", lambda browser: browser.send("/sign-out"))
    yield Attempt("it ends", signs_out).stopped_by("stream-ends-with-session")
    yield Attempt("it ends", await goes_on("bob", revoke)).stopped_by("revocation-ends-answer")


@attack(482, with_console)
async def test_tasks_without_end(consoles: Consoles) -> Tries:
    """Of one person in two browsers, and of many people."""
    sent, done = list[str](), asyncio.Event()

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        sent.append(scope["path"])
        await done.wait()
        await Response("{}", 503)(scope, receive, send)

    consoles.system.apps[consoles.system.addresses["orchestrator"]] = busy
    alices, most = [await consoles.alive.person("alice") for _ in range(2)], MOST_AT_ONCE_OF_A_PERSON
    answers = [(await one.send("/tasks", request=TASK)).status_code for one in alices for _ in range(most)]
    yield Attempt(str(answers), answers.count(303) > most)
    with patch("console.run.MOST_AT_ONCE", most):
        answer = await (await consoles.alive.person("bob")).send("/tasks", request=TASK)
        yield Attempt(answer.text[:80], answer.status_code == 303)
    await asyncio.sleep(0.1)
    assert len(sent) == answers.count(303) + (answer.status_code == 303)
    done.set()


class Answers(Scene):
    """Sessions that start tasks, and an orchestrator with long answers."""

    async def kept(self, *sessions: Session) -> int:
        """Bytes of the answers that are kept when each session has started a task, one after the other."""
        runs = running(b"x" * 1_000)
        started = [(session, await answered(runs, session)) for session in sessions]
        return sum(len(run.answer) for one in started if (run := runs.find(*one)))


@attack(483, Answers)
async def test_answers_without_end(answers: Answers) -> Tries:
    """In one session, and in many."""
    sessions = [Session(principal(), "alice", "") for _ in range(10)]
    for name, whose in ("MOST_BYTES_OF_A_SESSION", 10 * sessions[:1]), ("MOST_BYTES", sessions):
        with patch(f"console.run.{name}", 10_000):
            yield Attempt("the latest", await answers.kept(*whose) > 10_000 - 3 * BESIDES)
    assert await answers.kept(*sessions) == 10_000


class Forged(Scene):
    """A log whose files a thief of the ledger changes, and the console that reads it."""

    async def read(self) -> list[bytes]:
        """What the console takes in."""
        ledger, taken = Ledger(), list[bytes]()
        ledger.batch(FRONT, READER)
        planted = record(FRONT, GENESIS, "planted")

        def answer(request: httpx.Request) -> httpx.Response:
            found = published(ledger)(request)
            if "/tile/entries" not in request.url.path:
                return found
            entries = decode_bundle(found.content, int(request.url.path.rpartition("/")[2]))
            return httpx.Response(200, content=encode_bundle([planted, *entries[1:]]))

        await LogReader(reading(answer), lambda _, entry: taken.append(entry)).catch_up()
        return [entry for entry in taken if entry == planted]


@attack(455, Forged)
async def test_a_thief_of_the_ledger_shows_other_records(forged: Forged) -> Tries:
    yield Attempt("nothing is shown", bool(await forged.read()))


@attack(484, Forged)
async def test_records_as_long_as_the_log_takes() -> Tries:
    ledger, taken = Ledger(), list[int]()
    ledger.log.grow(b"x" * LONGEST, b"x" * (LONGEST + 1))
    await LogReader(reading(published(ledger)), lambda _, entry: taken.append(len(entry))).catch_up()
    yield Attempt(str(taken), taken != [LONGEST])


@attack(561, Forged)
async def test_records_without_end_behind_which_others_are_hidden() -> Tries:
    """As soon as more come between two looks than the console reads at its start."""
    ledger, taken = Ledger(), list[bytes]()
    ledger.batch(FRONT)
    reader = LogReader(reading(published(ledger)), lambda _, entry: taken.append(entry))
    with patch("console.log.WINDOW", 10), patch("console.log.EVERY", 0):
        await reader.catch_up()
        ledger.log.grow(hidden := record(READER, GENESIS), *[b"x"] * 20)
        await reader.catch_up()
    yield Attempt("it is taken", hidden not in taken)


@attack(485, Forged)
async def test_an_old_checkpoint_that_one_witness_cosigns_again() -> Tries:
    ledger = Ledger(witness("honest"), witness("compromised"))
    ledger.batch(FRONT)

    def note() -> Note:
        honest, compromised = (ledger.log.note(one, at=at) for one, at in zip(ledger.witnesses, (1, 99), strict=True))
        return Note(honest.text, (*honest.signatures, *compromised.signatures[1:]))

    reader = LogReader(reading(published(ledger, note)), lambda *_: None)
    await reader.catch_up()
    assert not reader.problem
    yield Attempt(str(reader.cosigned), reader.cosigned != 1)


class Registering(Scene):
    """Who writes the registry."""


@attack(456, Registering)
async def test_a_party_that_people_reach_by_the_name_of_another() -> Tries:
    """It would get that name in its certificate.  Keycloak is `localhost` here, and `keycloak` in containers."""
    raw = registry().model_dump()
    for host in ("registry.authority.agents.example", "new.agents.example", "agents.example"):
        raw["parties"][CONSOLE]["redirect_uris"] = [f"https://{host}/callback"]
        yield Attempt("not approved", not refused_by(raw, "in the trust domain"))
    beside = "REDIRECT: a full name, without a final dot"
    for host in ("registry.authority.agents.example.", "localhost", "keycloak"):
        raw["parties"][CONSOLE]["redirect_uris"] = [f"https://{host}/callback"]
        yield Attempt("not approved", not refused_by(raw, "redirect_uris.0")).stopped_by(beside)


def refused_by(raw: Any, why: str) -> bool:
    try:
        parse_registry(orjson.dumps(raw), Path("registry.yaml"))
    except RegistryError as error:
        return why in str(error)
    return False


@attack(457, with_console)
async def test_strangers_fill_the_disk_while_keycloak_is_away(consoles: Consoles) -> Tries:
    """A record is synced to the disk, and takes its place in the log that all parties share."""
    stranger, consoles.realm.down = consoles.alive.browser().http, True
    for _ in range(100):
        assert (await stranger.get("/sign-in")).status_code == 503
    refusals = [one for one in consoles.system.records(CONSOLE) if one["event"] in {"refusal", "request"}]
    yield Attempt("counted", bool(refusals))


def at_addresses(consoles: Consoles, going_on: asyncio.Event) -> list[int]:
    """Have each request to the console come from where `x-from` says, and Keycloak answer from that event on.

    The list gets how many it is asked at once.
    """
    apps, under_way, at_once = consoles.system.apps, list[int](), list[int]()
    [issuer] = [one for one in apps if ISSUER.startswith(one)]
    app, realm = apps[AT], apps[issuer]

    async def from_there(scope: Scope, receive: Receive, send: Send) -> None:
        there = dict(scope["headers"]).get(b"x-from", b"127.0.0.1").decode()
        await app({**scope, "client": (there, 1)}, receive, send)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        at_once.append(len(under_way) + 1)
        under_way.append(1)
        await going_on.wait()
        under_way.pop()
        await realm(scope, receive, send)

    apps[AT], apps[issuer] = from_there, slow
    return at_once


async def sending(stranger: Browser, state: str, addresses: Iterable[str], each: int) -> list[asyncio.Task[Any]]:
    """The codes of a stranger from these addresses, as soon as the console refuses one of them."""
    ask = partial(stranger.http.get, "/callback", params={"code": "x", "state": state, "iss": ISSUER})
    sent = [asyncio.create_task(ask(headers={"x-from": one})) for one in addresses for _ in range(each)]
    await until(lambda: any(one.done() for one in sent))
    return sent


@attack(458, with_console)
async def test_codes_without_end(consoles: Consoles) -> Tries:
    stranger, going_on = consoles.alive.browser(), asyncio.Event()
    asked, at_once = await stranger.begin(), at_addresses(consoles, going_on)
    codes = await sending(stranger, asked["state"], (f"192.0.2.{n}" for n in range(3 * AT_ONCE)), 2)
    await asyncio.sleep(0.2)
    going_on.set()
    await asyncio.gather(*codes)
    yield Attempt("few at once", max(at_once) > AT_ONCE)


@attack(563, with_console)
async def test_strangers_who_keep_others_from_signing_in(consoles: Consoles) -> Tries:
    """By codes that Keycloak takes a while to refuse; each stranger needs one genuine `state` at most."""
    browser, stranger, going_on = consoles.alive.browser(), consoles.alive.browser(), asyncio.Event()
    asked, at_once = await stranger.begin(), at_addresses(consoles, going_on)
    invented = asyncio.create_task(stranger.back(code="x", state=f"9999999999.{'0' * 64}", iss=ISSUER))
    await asyncio.wait([invented], timeout=0.5)
    yield Attempt("Keycloak is not asked", bool(at_once)).stopped_by("callback-of-this-browser")
    for pattern, addresses, by in (
        ("192.0.2.{}", 4, "codes-room-for-others"),
        ("2001:db8::{}", 2 * MOST_CODES, "codes-by-network"),
    ):
        going_on.clear()
        own = await browser.begin()
        there = [pattern.format(n) for n in range(addresses)]
        codes = await sending(stranger, asked["state"], there, MOST_AGAIN if addresses == 4 else 1)
        back = asyncio.create_task(browser.back(code=browser.code("alice", own), state=own["state"], iss=ISSUER))
        await asyncio.wait([back], timeout=0.5)
        going_on.set()
        answer, *_ = await asyncio.gather(back, invented, *codes)
        yield Attempt(str(answer.status_code), answer.status_code != 200).stopped_by(by)


@attack(459, with_console)
async def test_a_sign_in_of_anothers_account(consoles: Consoles) -> Tries:
    """A person who does not notice would work in the attacker's account."""
    victim, attacker = consoles.alive.browser(), consoles.alive.browser()
    asked, own = await victim.begin(), await attacker.begin()
    answer = await victim.back(code=attacker.code("eve", own), state=own["state"], iss=ISSUER)
    yield Attempt(str(answer.status_code), answer.status_code == 200).stopped_by("Keycloak: the verifier is checked")
    # Whoever has seen the victim's challenge can sign in with it, but does not have the victim's state.
    answer = await victim.back(code=attacker.code("eve", asked), state=own["state"], iss=ISSUER)
    yield Attempt(str(answer.status_code), answer.status_code == 200)


@attack(460, with_console)
async def test_a_frame_around_the_console(consoles: Consoles) -> Tries:
    """In which a person clicks what they do not see."""
    for path in ("/", "/callback", "/tasks/none"):
        headers = (await (await consoles.alive.person("alice")).http.get(path)).headers
        yield Attempt("no frame", "frame-ancestors 'none'" not in headers.get("content-security-policy", ""))


@attack(461, with_console)
async def test_a_form_or_a_cookie_from_before_the_sign_in(consoles: Consoles) -> Tries:
    alice, thief = await consoles.alive.person("alice"), consoles.alive.browser()
    old, planted = await alice.form_token(), "p" * 43
    await alice.send("/sign-out")
    for browser in (alice, thief):
        browser.http.cookies.set(SESSION, planted, domain="console.localhost", path="/")
    await alice.sign_in("alice")
    answer = await alice.http.post("/tasks", data={"request": TASK, "form_token": old}, headers={"origin": AT})
    yield Attempt(answer.text[:80], answer.status_code == 303).stopped_by("form-token")
    page = (await thief.http.get("/")).text
    yield Attempt("a stranger", "Signed in as" in page).stopped_by("sessions.py: a new cookie at each sign-in")


@attack(462, with_console)
async def test_one_person_takes_the_capacity_of_others(consoles: Consoles) -> Tries:
    """From two browsers, each with fewer streams than a session may have."""
    front, going_on = consoles.system.addresses["orchestrator"], asyncio.Event()

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        await going_on.wait()
        await Response("{}", 503)(scope, receive, send)

    consoles.system.apps[front] = busy
    browsers = [await consoles.alive.person("alice"), await consoles.alive.person("alice")]
    paths = [await one.start(TASK) for one in browsers]
    streams = [
        asyncio.create_task(one.http.get(f"{path}/hops"))
        for one, path in zip(browsers, paths, strict=True)
        for _ in range(OF_A_PERSON // 2)
    ]
    await asyncio.sleep(0.2)
    answer = await browsers[0].http.get("/")
    yield Attempt(answer.text[:80], answer.status_code == 200)
    assert (await (await consoles.alive.person("bob")).http.get("/")).status_code == 200
    going_on.set()
    await asyncio.gather(*streams)


@attack(463, Registering)
async def test_a_party_in_the_place_of_the_issuer() -> Tries:
    """As if the name at which browsers reach it were the issuer's."""
    party = server_context(the_ca().svid(READER_NAME), certificate_needed=False)
    try:
        Handshake(party, issuer_context(the_ca().svid(CONSOLE), {})).done()
    except ssl.SSLError as error:
        yield Attempt(str(error), succeeded=False)
    else:
        yield Attempt("the issuer", succeeded=True)


@asynccontextmanager
async def without_pages(folder: Path, issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Consoles]:
    """The same party, if nobody reached it by a browser."""
    raw = issuer.registry.model_dump()
    raw["parties"][CONSOLE]["redirect_uris"] = ["http://127.0.0.1/callback"]
    async with consoled(folder, Realm(Registry.model_validate(raw), key=issuer.key)) as alive:
        yield Consoles(alive)


@attack(464, without_pages)
async def test_a_stranger_at_a_party_without_pages(consoles: Consoles) -> Tries:
    answer = await consoles.alive.browser().http.get("/")
    told = str(answer.json()["reason"]) if answer.is_error else "a page"
    yield Attempt(told, not answer.is_error, recorded=[told], reason=told)


@attack(465, in_process)
async def test_a_compromised_console(target: Target) -> Tries:
    """It has the tokens of those who are signed in, and uses them as they could; elsewhere they are worth nothing."""
    token = target.token("orchestrator", azp=OURS)
    assert (await target.send("orchestrator", token, peer=workload(CONSOLE))).handled
    for party in ("agent/reader", "agent/writer", "tool/documents", "inference"):
        yield await target.send(party, token, peer=workload(CONSOLE))


class Thieves(Consoles):
    """The console, and a thief whose answers are in the attacker's hands."""

    thief: FakeThief


@asynccontextmanager
async def with_thief(folder: Path, issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Thieves]:
    async with fake_thief() as thief, consoled(folder, Realm(issuer.registry, key=issuer.key)) as alive:
        scene = Thieves(alive)
        scene.thief = thief
        yield scene


async def _page_of_tokens(alice: Browser) -> str:
    path = await alice.start(TASK)
    await alice.hops(path)
    return f"{path}/tokens"


@attack(471, with_thief)
async def test_a_token_in_the_thiefs_answer(thieves: Thieves) -> Tries:
    """By mistake of the lab's: its answers are shown in a page."""
    alice = await thieves.alive.person("alice")
    stolen = jwt.encode({"sub": "alice"}, thieves.realm.key, "RS256")
    thieves.thief.answers = [{**USED, "address": f"https://tool/?token={stolen}"}]
    answer = await alice.send(await _page_of_tokens(alice), way="another-process")
    yield Attempt(answer.text[:80], stolen in answer.text)


@attack(472, with_thief)
async def test_an_attack_for_another_users_task(thieves: Thieves) -> Tries:
    alice, bob = await thieves.alive.person("alice"), await thieves.alive.person("bob")
    answer = await bob.send(await _page_of_tokens(alice), way="another-process")
    yield Attempt(str(answer.status_code), bool(thieves.thief.orders))


@attack(473, with_thief)
async def test_the_thief_for_oneself(thieves: Thieves) -> Tries:
    """One request after the other, and several at once by two people."""
    alice, olga, thief = await thieves.alive.person("alice"), await thieves.alive.person("olga"), thieves.thief
    path = await _page_of_tokens(alice)
    thief.may_answer.clear()
    first, second = [asyncio.create_task(one.send(path, way="another-process")) for one in (alice, olga)]
    await asyncio.wait([first, second], timeout=2, return_when=asyncio.FIRST_COMPLETED)
    thief.may_answer.set()
    answers = [one.status_code for one in await asyncio.gather(first, second)]
    yield Attempt(str(answers), answers == [200, 200]).stopped_by("one-use-at-a-time")
    for _ in range(2):
        again = await alice.send(path, way="another-process")
    yield Attempt(again.text[:80], again.status_code == 200).stopped_by("pause-between-uses")


class Answering(Scene):
    """A thief alone."""


@attack(474, Answering)
async def test_a_thief_that_answers_without_end() -> Tries:
    async with fake_thief() as thief:
        thief.answers *= 2 * MOST_LINES
        async with aclosing(Thief().lines({"order": "probe"})) as lines:
            taken = [line async for line in lines]
    yield Attempt("a part", len(taken) > MOST_LINES)


SUSPEND = {"withdraw": "party agent/reader", "cause": "a try"}
FOR_REGISTRY = "/operate/sign-in"


def suspended(consoles: Consoles) -> bool:
    return not consoles.system.revocations.check_party(READER)


@attack(475, with_console)
async def test_another_persons_sign_in_for_the_registry(consoles: Consoles) -> Tries:
    """At a browser that an operator has left: the session stays that of its person."""
    omar = await consoles.alive.person("omar")
    asked = await omar.begin(FOR_REGISTRY)
    answer = await omar.back(code=omar.code("olga", asked), state=asked["state"], iss=ISSUER)
    await omar.send("/operate", **SUSPEND)
    yield Attempt(str(answer.status_code), suspended(consoles))


@attack(476, with_console)
async def test_an_order_without_the_second_sign_in(consoles: Consoles) -> Tries:
    consoles.realm.spoilt = {"scope": "task.run registry.admin"}
    olga = await consoles.alive.person("olga")
    answer = await olga.send("/operate", **SUSPEND)
    yield Attempt(answer.text[:80], suspended(consoles))


@attack(477, with_console)
async def test_a_user_who_is_no_operator(consoles: Consoles) -> Tries:
    alice = await consoles.alive.person("alice")
    for path in ("/parties", "/parties/events"):
        answer = await alice.http.get(path)
        shown = "agent/reader" in answer.text
        yield Attempt(str(answer.status_code), shown).stopped_by("parties-as-permitted", "all-parties-for-operators")
    with suppress(AssertionError):  # she gets no sign-in
        await alice.sign_in("alice", FOR_REGISTRY)
    await alice.send("/operate", **SUSPEND)
    yield Attempt("not suspended", suspended(consoles)).stopped_by("parties-as-permitted and operator-in-group")


@attack(478, with_console)
async def test_another_site_suspends_a_party(consoles: Consoles) -> Tries:
    olga = await (await consoles.alive.person("olga")).sign_in("olga", FOR_REGISTRY)
    answer = await olga.http.post("/operate", data=SUSPEND, headers={"origin": "https://attacker.test"})
    yield Attempt(answer.text[:80], suspended(consoles))


@attack(479, with_console)
async def test_a_stolen_token_of_an_operator(consoles: Consoles) -> Tries:
    token = consoles.realm.t0("olga", "registry.admin aud:authority/registry")
    registry_at = consoles.system.registry.address("authority/registry")
    for peer in map(workload, ("agent/writer", "orchestrator")):
        async with httpx.AsyncClient(transport=Wire(consoles.system.apps, peer), base_url=registry_at) as http:
            headers = consoles.realm.headers(token, peer, "POST", f"{registry_at}/parties/agent/reader/suspend")
            answer = await http.post("/parties/agent/reader/suspend", json={"cause": "a try"}, headers=headers)
        yield Attempt(answer.text[:80], answer.status_code == 200)


@attack(480, Records)
async def test_a_party_that_invents_what_authorities_did(records: Records) -> Tries:
    """In an operator's name: "olga has reinstated me"."""
    records.take(READER, RegistryChange(action="reinstate", target=Text("agent/reader"), principal=CALLER))
    records.take(READER, RegistryChange(action="activate", target=Text("policy 2 00"), principal=CALLER))
    records.take(READER, Alarm(cause="unknown", party="agent/writer", token_id="T1", at=1))
    for shown in (records.oversight.changes, records.oversight.rules, records.oversight.alarms):
        yield Attempt(str(shown), len(shown) > 0)


@attack(562, Records)
async def test_alarms_about_one_party_without_end(records: Records) -> Tries:
    """By exchanges that it invents, until no other alarm is on the page of the operators."""
    for party in (FRONT, *[READER] * 100):
        records.take("spiffe://agents.example/authority/audit", Alarm(cause="silent", party=party, token_id="T1", at=1))
    yield Attempt("it is shown", "orchestrator" not in [row[2] for row in records.oversight.alarms[-2:]])
