"""The way in: what `zerotrust` gives by name, and what `testkit` has for it."""

import ast
import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib import import_module
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from fastapi import HTTPException
from starlette.types import ASGIApp

import zerotrust
from testkit import CA, Guarded, guarded, principal
from tests.support.system import ROOT, registry
from zerotrust import Denied, Public, Reason, Resource, Routes, Scope, Service
from zerotrust.audit.event_parts import Decided, Policy
from zerotrust.audit.event_types import Access
from zerotrust.audit.journal import Journal
from zerotrust.audit.record import Link
from zerotrust.audit.segments import JournalError
from zerotrust.decision import Decision, PolicyEngine
from zerotrust.receipts.carried import HEADER

QUOTES = "agent/quotes"
INIT = (ROOT / "zerotrust" / "__init__.py").read_text()


def test_each_public_name_is_there_and_a_type_checker_sees_the_same_ones() -> None:
    typed = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(ast.parse(INIT))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("zerotrust.")
        for alias in node.names
    }

    assert sorted(typed) == sorted({*zerotrust.__all__} - {"VERSION"})
    for name, (module, known_as) in typed.items():
        assert getattr(zerotrust, name) is getattr(import_module(str(module)), known_as)


def test_the_library_names_nothing_of_the_demo() -> None:
    """Its own authorities apart, which every system has: no party, scope, trust domain, department, user or model."""
    known = registry()
    parties = {name for name in known.parties if not name.startswith("authority/")} - {"zt"}
    named = {*parties, *known.scopes, *known.departments, known.trust_domain, "scripted", "walkthrough"}
    words = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in sorted(named)))

    for file in (ROOT / "zerotrust").rglob("*.py"):
        nodes = [*ast.walk(ast.parse(file.read_text()))]
        told = {
            ast.get_docstring(node, clean=False)
            for node in nodes
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        }
        constants = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        found = [text for text in constants if text not in told and words.search(text)]
        assert found == [] or file.name == "logs.py", file


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        zerotrust.nothing  # noqa: B018


def test_the_name_alone_imports_no_other_module() -> None:
    source = (
        "import sys; sys.path.append(sys.argv[1]); import zerotrust; print(*(m for m in sys.modules if 'zero' in m))"
    )
    command = [sys.executable, "-I", "-c", source, str(ROOT)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603

    assert loaded.split() == ["zerotrust"]


def test_no_service_imports_what_is_for_tests() -> None:
    product = ["zerotrust", "authorities", "registration", "zt"]
    product += ["orchestrator", "agents", "tools", "inference"]
    files = [file for folder in product for file in (ROOT / folder).rglob("*.py")]

    assert len(files) > 100
    assert [file for file in files if "import testkit" in (text := file.read_text()) or "from testkit" in text] == []


def test_walkthrough_and_runner_take_from_it_the_sign_in_without_a_person_and_nothing_else() -> None:
    files = [file for folder in ("start", "demo") for file in (ROOT / folder).rglob("*.py")]
    texts = [line.strip() for file in files for line in file.read_text().splitlines()]
    lines = [line for line in texts if "testkit" in line and "import" in line]

    assert lines
    assert [line for line in lines if not line.startswith("from testkit.browser import ")] == []


ROUTES: Routes = {("GET", "/"): Scope("quote.read"), ("GET", "/health"): Public()}


def asks_for_prices(service: Service) -> ASGIApp:
    app = service.app()

    @app.get("/")
    async def ask() -> dict[str, str]:
        token = await service.exchange("tool/prices", "price.read")
        return {"token": token.value}

    return service.guard(app, ROUTES)


async def test_a_party_narrows_its_callers_token_at_the_issuer_of_the_test(tmp_path: Path) -> None:
    calls = {"tool/prices": ["price.read"]}
    async with guarded(QUOTES, asks_for_prices, data=tmp_path, scopes=["quote.read"], calls=calls) as quotes:
        answer = await quotes.client(quotes.token()).get("/")
        assert answer.status_code == 200
        [form] = quotes.issuer.exchanges
        assert (form["audience"], form["scope"]) == ("spiffe://test.example/tool/prices", "price.read")

        held_by_a_workload = await quotes.client(quotes.token(), peer="tool/prices").get("/")
        assert held_by_a_workload.json()["reason"] == Reason.NOT_BOUND

        quotes.revocations.change(1, ("user", "alice"), "a test")
        assert (await quotes.client(quotes.token()).get("/")).json()["reason"] == Reason.REVOKED


TEA = Resource("Quote", "tea")


def decides_carelessly(service: Service) -> ASGIApp:
    """Nobody looks at what was decided, and in one handler nobody even waits for it."""
    app = service.app()

    @app.get("/looks-away")
    async def looks_away() -> str:
        await service.decide("quote.delete", TEA)
        return "done"

    @app.get("/does-not-wait")
    async def does_not_wait() -> str:
        if service.decide("quote.delete", TEA):
            return "done"
        return "not done"

    @app.get("/looks")
    async def looks() -> str:
        try:
            await service.decide("quote.delete", TEA, otherwise=KeyError("tea"))
        except KeyError:
            return "refused in its own way"
        return "done"

    paths = ("/looks-away", "/does-not-wait", "/looks")
    return service.guard(app, {("GET", "/health"): Public(), **{("GET", path): Scope("quote.read") for path in paths}})


Quotes = Callable[[Callable[[Service], ASGIApp]], AbstractAsyncContextManager[Guarded]]


@pytest.fixture
def quotes_of(tmp_path: Path) -> Quotes:
    """The party, with the app that a test gives it."""
    return partial(guarded, QUOTES, data=tmp_path, scopes=["quote.read", "quote.write"])


def accesses(party: Guarded) -> list[Decided]:
    """What the policies decided about resources, as it is on record."""
    return [record.data.decision for record in party.records() if isinstance(record.data, Access)]


async def test_what_the_policies_deny_is_not_done_by_a_handler_that_looks_away(quotes_of: Quotes) -> None:
    async with quotes_of(decides_carelessly) as quotes:
        for path in ("/looks-away", "/does-not-wait"):
            answer = await quotes.client(quotes.token()).get(path)
            assert (answer.status_code, answer.json()["reason"]) == (403, Reason.POLICY_ERROR)  # of no such kind
            *_, access, refusal = [record.data for record in quotes.records() if record.data.type != "outcome"]
            assert (access.type, refusal.type) == ("access", "refusal")  # both are on record, before the answer

        assert (await quotes.client(quotes.token()).get("/looks")).json() == "refused in its own way"
        assert quotes.records()[-1].data.type == "access"  # on record as well, before the answer


async def test_a_denial_that_cannot_be_recorded_is_answered_as_that(
    quotes_of: Quotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, full = Journal.append, [False]

    def until_full(journal: Journal, event: bytes) -> asyncio.Future[Link]:
        full[0] = full[0] or b'"type":"access"' in event
        if not full[0]:
            return append(journal, event)
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(JournalError("full"))
        return failed

    async with quotes_of(decides_carelessly) as quotes:
        monkeypatch.setattr(Journal, "append", until_full)
        for path in ("/looks", "/looks-away"):
            full[0] = False
            answer = await quotes.client(quotes.token()).get(path)
            assert (answer.status_code, answer.json()["reason"]) == (503, Reason.JOURNAL_UNAVAILABLE)


class Permitting:
    """A policy engine that permits everything."""

    version = "1"

    def decide(self, *_asked: object) -> Decision:
        return Decision(allowed=True, reason=Reason.GRANTED)

    decide_on = decide

    def decide_each(self, _principal: object, questions: Sequence[object]) -> list[Decision]:
        return [self.decide() for _ in questions]


class Elsewhere:
    """A policy engine in another process: it permits an API, and decides about a resource as it is told to."""

    version = "1"

    def __init__(self, decision: Decision, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._decision, self._meanwhile = decision, meanwhile

    async def decide(self, *_asked: object) -> Decision:
        await asyncio.sleep(0)
        return Decision(allowed=True, reason=Reason.GRANTED)

    async def decide_on(self, *_asked: object) -> Decision:
        await asyncio.sleep(0)
        self._meanwhile()
        return self._decision

    async def decide_each(self, _principal: object, questions: Sequence[object]) -> list[Decision]:
        return [await self.decide_on() for _ in questions]


GRANTED = Decision(allowed=True, reason=Reason.GRANTED, rules=("a-rule",), policy="7-abc")
DENIED = Decision(allowed=False, reason=Reason.RESOURCE_DENIED)
AWAY = Decision(allowed=False, reason=Reason.POLICY_UNAVAILABLE)


def decides_in_another_task(service: Service) -> ASGIApp:
    """Lets another task await a decision, and does not look at how that ended."""
    app = service.app()

    @app.get("/task")
    async def task() -> str:
        await asyncio.wait([asyncio.create_task(service.decide("quote.delete", TEA))])
        return "done"

    @app.get("/gather")
    async def gather() -> str:
        deciding = service.decide("quote.delete", TEA)
        await asyncio.gather(deciding, return_exceptions=True)
        return "done"

    @app.get("/lets-through")
    async def lets_through() -> str:
        await asyncio.gather(*(service.decide("quote.delete", TEA) for _ in range(3)))
        return "done"

    @app.get("/task-group")
    async def task_group() -> str:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(service.decide("quote.delete", TEA))
        return "done"

    @app.get("/otherwise")
    async def otherwise() -> str:
        try:
            await asyncio.gather(service.decide("quote.delete", TEA))
        except Denied as refusal:
            raise HTTPException(409) from refusal
        return "done"

    @app.get("/with-a-bug")
    async def with_a_bug() -> str:
        async def bug() -> None:
            raise ValueError

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(service.decide("quote.delete", TEA))
            tasks.create_task(bug())
        return "done"

    @app.get("/swallows")
    async def swallows() -> str:
        await asyncio.gather(service.decide("quote.delete", TEA), return_exceptions=True)
        raise Denied(Reason.DEPARTMENT_NEEDED, more={"departments": ["what was to be decided about"]})

    @app.get("/hidden")
    async def hidden() -> str:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(service.decide("quote.delete", TEA, otherwise=HTTPException(404)))
        return "done"

    paths = "/task", "/gather", "/lets-through", "/task-group", "/otherwise", "/with-a-bug", "/swallows", "/hidden"
    return service.guard(app, {("GET", "/health"): Public()} | {("GET", path): Scope("quote.read") for path in paths})


CARELESSLY, IN_A_TASK = decides_carelessly, decides_in_another_task
HERE, NO, UNAVAILABLE = None, Reason.RESOURCE_DENIED, Reason.POLICY_UNAVAILABLE


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    ("app", "path", "decision", "told"),
    [
        (CARELESSLY, "/looks-away", HERE, "done"),
        (CARELESSLY, "/looks-away", GRANTED, "done"),
        (CARELESSLY, "/looks-away", DENIED, NO),
        (CARELESSLY, "/looks-away", AWAY, UNAVAILABLE),
        (CARELESSLY, "/looks-away", Decision(allowed=False, reason=Reason.EXPIRED), Reason.EXPIRED),
        (CARELESSLY, "/looks", DENIED, "refused in its own way"),
        (CARELESSLY, "/looks", AWAY, UNAVAILABLE),  # that nobody could decide is no denial
        (CARELESSLY, "/does-not-wait", GRANTED, Reason.FAILED),
        (CARELESSLY, "/does-not-wait", DENIED, Reason.FAILED),
        (CARELESSLY, "/does-not-wait", AWAY, Reason.FAILED),
        # What a handler lets through is answered as any refusal, also what comes in an ExceptionGroup.
        (IN_A_TASK, "/lets-through", GRANTED, "done"),
        (IN_A_TASK, "/lets-through", DENIED, NO),
        (IN_A_TASK, "/lets-through", AWAY, UNAVAILABLE),
        (IN_A_TASK, "/task-group", GRANTED, "done"),
        (IN_A_TASK, "/task-group", DENIED, NO),
        (IN_A_TASK, "/task-group", AWAY, UNAVAILABLE),
        (IN_A_TASK, "/hidden", DENIED, Reason.APPLICATION_ERROR),
        # A no that became something else, or at which nobody has looked, leads to no answer.
        (IN_A_TASK, "/otherwise", DENIED, Reason.FAILED),
        (IN_A_TASK, "/with-a-bug", DENIED, Reason.FAILED),
        (IN_A_TASK, "/swallows", DENIED, Reason.FAILED),
        (IN_A_TASK, "/task", GRANTED, "done"),
        (IN_A_TASK, "/task", DENIED, Reason.FAILED),
        (IN_A_TASK, "/task", AWAY, Reason.FAILED),
        (IN_A_TASK, "/gather", GRANTED, "done"),
        (IN_A_TASK, "/gather", DENIED, Reason.FAILED),
        (IN_A_TASK, "/gather", AWAY, Reason.FAILED),
    ],
)
async def test_what_an_engine_decides_is_answered_whatever_a_handler_makes_of_it_and_on_record_before(
    quotes_of: Quotes, app: Callable[[Service], ASGIApp], path: str, decision: Decision | None, told: str
) -> None:
    async with quotes_of(app) as quotes:
        quotes.service.use(quotes.service.snapshot, Permitting() if decision is HERE else Elsewhere(decision))
        answer = await quotes.client(quotes.token()).get(path)

        if isinstance(told, Reason):
            status = 404 if path == "/hidden" else told.status
            assert (answer.status_code, answer.json()["reason"]) == (status, told)
            assert ("retry-after" in answer.headers) == (status == 503)
            assert answer.json().get("begun", False) == (told is Reason.EXPIRED)  # which the gate says before, too
            assert answer.headers[HEADER]
        else:
            assert (answer.status_code, answer.json()) == (200, told)
        if path not in {"/does-not-wait", "/with-a-bug"}:  # those do not wait for the record, either
            assert {one.allowed for one in accesses(quotes)} == {decision is HERE or decision.allowed}
            if decision is GRANTED:
                assert {one.policy for one in accesses(quotes)} == {Policy(version="7-abc", rules=("a-rule",))}
        assert (await quotes.client().get("/health")).status_code == 200


async def test_a_party_that_ends_delivers_its_last_records(quotes_of: Quotes) -> None:
    async with quotes_of(decides_carelessly) as quotes:
        quotes.service._delivery = delivery = AsyncMock()
    delivery.finish.assert_awaited_once()


async def test_an_engine_elsewhere_stays_when_the_registry_sends_other_policies(quotes_of: Quotes) -> None:
    def asks(service: Service) -> ASGIApp:
        service.decide_by(Elsewhere(DENIED))  # before there is a gate
        return decides_carelessly(service)

    async with quotes_of(asks) as quotes:
        client = quotes.client(quotes.token())
        quotes.service.use(quotes.service.snapshot, Permitting())
        assert (await client.get("/looks-away")).json()["reason"] == Reason.RESOURCE_DENIED

        quotes.service.decide_by(Elsewhere(GRANTED))  # with one
        assert (await client.get("/looks-away")).json() == "done"


def lists(service: Service) -> ASGIApp:
    """Lists what a caller may have."""
    app = service.app()

    @app.get("/quotes")
    async def quotes() -> list[str]:
        return await service.permitted("quote.read", ["tea", "salt"], lambda name: Resource("Quote", name))

    @app.get("/scopes")
    async def scopes() -> list[str]:
        return sorted(await service.usable(["quote.read", "quote.write"]))

    @app.get("/forgotten")
    async def forgotten() -> bool:
        return "quote.write" in service.usable(["quote.read"])  # type: ignore[operator]

    paths = ("/quotes", "/scopes", "/forgotten")
    return service.guard(app, {("GET", "/health"): Public(), **{("GET", path): Scope("quote.read") for path in paths}})


@pytest.mark.parametrize(
    ("engine", "quotes", "scopes"),
    [
        (None, [], ["quote.read"]),
        (Permitting(), ["tea", "salt"], ["quote.read", "quote.write"]),
        (Elsewhere(GRANTED), ["tea", "salt"], ["quote.read", "quote.write"]),
        (Elsewhere(DENIED), [], []),
        (Elsewhere(AWAY), Reason.POLICY_UNAVAILABLE, Reason.POLICY_UNAVAILABLE),
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_a_list_has_what_the_policies_permit_and_is_none_where_nobody_decides_or_waits(
    quotes_of: Quotes, engine: PolicyEngine | None, quotes: list[str] | str, scopes: list[str] | str
) -> None:
    async with quotes_of(lists) as party:
        if engine:
            party.service.use(party.service.snapshot, engine)
        client = party.client(party.token(scope="quote.read"))
        for path, found in (("/quotes", quotes), ("/scopes", scopes)):
            answer = await client.get(path)
            told = answer.json()["reason"] if isinstance(found, Reason) else answer.json()
            assert (answer.status_code, told) == (503 if isinstance(found, Reason) else 200, found)
        assert (await client.get("/forgotten")).status_code == 500


def test_a_principal_is_a_good_one_but_for_what_is_changed() -> None:
    assert principal(subject="bob").subject == "bob"
    assert not principal().delegated
    assert CA("test.example").svid(QUOTES).id == f"spiffe://test.example/{QUOTES}"
