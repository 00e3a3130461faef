"""Measures decisions: by policies in process, remembered and not, and by the AuthZEN API of the policy authority.

The committed policies, with as many parties as a row says.  The decision point is behind its gate and mutual TLS, over
a kept connection; both ends are in one process, so its numbers have the work of both.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from authorities.policy.authzen_routes import ROUTES, add_authzen_routes
from authorities.policy.callers import caller
from authorities.policy.pdp import ServicePoint
from lab.bench.numbers import percentile
from local.program import FOLDER, console, say, show
from local.system import ROOT
from registration.names import POLICIES
from zerotrust.authzen import MAX_QUESTIONS, AuthZEN
from zerotrust.decision import Decision, Question, Resource
from zerotrust.identity import Principal
from zerotrust.policy import CedarPolicy
from zerotrust.registry.directory import Directory
from zerotrust.registry.entities import party_entities
from zerotrust.registry.files import load_policy
from zerotrust.registry.model import Registry, load_registry
from zerotrust.routes import Public
from zerotrust.service import Service
from zerotrust.spiffe.tls import server_context
from zerotrust.testing import CA, guarded
from zerotrust.transport.pools import Connections
from zerotrust.transport.server import server

SIZES = [10, 1_000, 10_000]
TIMES = 1_000
"""Decisions of each kind, each about another user, so that none is remembered."""
PDP, PEP, TOOL, READER = "authority/pdp", "tool/pep", "tool/documents", "agent/reader"
DOCUMENT = ("department", "/engineering"), ("state", "draft"), ("owner", "alice"), ("classification", "internal")


@dataclass(frozen=True, slots=True)
class Row:
    """What a decision costs with so many entities, in microseconds: p50, and p99 where the name says so."""

    entities: int
    use_an_api: float
    read_a_document: float
    read_a_document_p99: float
    remembered: float
    by_authzen: float
    by_authzen_p99: float
    by_authzen_each_of_100: float


def main(sizes: Annotated[list[int] | None, typer.Argument(help="entities")] = None) -> None:
    """Measure, print, and write `run/decisions.json`."""
    rows = []
    for size in sizes or SIZES:
        say(f"{size:,} entities")
        rows.append(uvloop.run(measured(size)))
    console.rule("What a decision costs")
    first = rows[0]
    columns: tuple[tuple[str, Callable[[Row], float]], ...] = (
        ("to use an API, uncached", lambda row: row.use_an_api),
        ("to read a document, uncached", lambda row: row.read_a_document),
        ("the same, p99", lambda row: row.read_a_document_p99),
        ("the same, remembered", lambda row: row.remembered),
        ("the same, by an AuthZEN call", lambda row: row.by_authzen),
        ("the same, p99", lambda row: row.by_authzen_p99),
        ("by AuthZEN, each of 100 at once", lambda row: row.by_authzen_each_of_100),
    )
    show(
        ("one decision, µs", *(f"{row.entities:,} entities" for row in rows), "times the first", "wanted"),
        (
            (name, *(f"{of(row):,.1f}" for row in rows), f"{of(rows[-1]) / of(first):.2f}", "≤ 1.5" if at < 2 else "")
            for at, (name, of) in enumerate(columns)
        ),
        right=True,
    )
    file = FOLDER / "decisions.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    say(f"All numbers: {file}")


async def measured(entities: int, times: int = TIMES) -> Row:
    """Measure with so many entities, each kind of decision so many times."""
    registry, document = load_registry(ROOT / "registry.yaml"), load_policy(ROOT / POLICIES)
    engine = CedarPolicy(
        policies=document.policies,
        schema=document.cedar_schema,
        entities=parties(registry, entities),
        departments=registry.departments,
    )
    who = asking(registry)
    tool, draft = registry.id(TOOL), Resource("Document", "D-1", DOCUMENT)
    api = [await took(lambda: engine.decide(next(who), "tool.read", tool)) for _ in range(times)]
    reading = [await took(lambda: engine.decide_on(next(who), "document.read", draft)) for _ in range(times)]
    known = next(who)
    engine.decide_on(known, "document.read", draft)
    remembered = [await took(lambda: engine.decide_on(known, "document.read", draft)) for _ in range(times)]
    async with asked(ServicePoint(engine, document, registry)) as pdp:
        await took(lambda: pdp.decide_on(next(who), "document.read", draft))  # the connection
        one = [await took(lambda: pdp.decide_on(next(who), "document.read", draft)) for _ in range(times)]
        many = [await several(pdp, next(who), draft) for _ in range(max(1, times // MAX_QUESTIONS))]
    return Row(
        entities,
        percentile(api, 50),
        percentile(reading, 50),
        percentile(reading, 99),
        percentile(remembered, 50),
        percentile(one, 50),
        percentile(one, 99),
        percentile(many, 50),
    )


def parties(registry: Registry, number: int) -> list[dict[str, Any]]:
    """Return so many entities: those of the registry, and further parties that may do what the reader may."""
    found = party_entities(registry)
    (reader,) = (one for one in found if one["uid"]["id"] == registry.id(READER))
    more = ({**reader, "uid": {"type": "Party", "id": registry.id(READER) + f"-{one}"}} for one in count())
    return [*found, *(next(more) for _ in range(number - len(found)))]


def asking(registry: Registry) -> Iterator[Principal]:
    """Yield callers without end, each for another user."""
    actors = registry.id(READER), registry.id("orchestrator")
    scopes, groups = {"tool.read"}, {"/engineering"}
    return (caller(actors[0], subject=f"u{n}", actors=actors, scopes=scopes, groups=groups) for n in count())


async def took(decide: Callable[[], Any]) -> float:
    """Return the microseconds that a decision takes.  Raises `RuntimeError` unless it is a yes."""
    began = time.perf_counter()
    decision = decide()
    if not isinstance(decision, Decision):
        decision = await decision
    seconds = time.perf_counter() - began
    if not decision:
        raise RuntimeError(f"{decision.reason}: {decision.detail}")
    return seconds * 1e6


async def several(pdp: AuthZEN, who: Principal, about: Resource) -> float:
    """Return the microseconds for each of as many decisions as one request has."""
    documents = (Resource(about.kind, f"D-{n}", about.attributes) for n in range(MAX_QUESTIONS))
    questions: list[Question] = [("document.read", document) for document in documents]
    began = time.perf_counter()
    decisions = await pdp.decide_each(who, questions)
    seconds = time.perf_counter() - began
    if not all(decisions):
        raise RuntimeError("not all are a yes")
    return seconds * 1e6 / MAX_QUESTIONS


@asynccontextmanager
async def asked(point: ServicePoint) -> AsyncIterator[AuthZEN]:
    """Yield an engine that asks this decision point, which is behind its gate and mutual TLS."""

    def create_app(service: Service) -> ASGIApp:
        add_authzen_routes(app := service.app(), lambda: point, service.addresses[PDP])
        return service.guard(app, {("GET", "/health"): Public(), **ROUTES})

    with tempfile.TemporaryDirectory() as folder:
        async with guarded(PDP, create_app, data=Path(folder), scopes=["a.b"], calls={PEP: ["c.d"]}) as pdp:
            registry, address = pdp.service.registry, pdp.service.addresses[PDP]
            ca = CA(registry.trust_domain)
            tls = server_context(ca.svid(PDP), certificate_needed=True)
            running = server(_without_lifespan(pdp.apps[address]), host="127.0.0.1", port=0, tls=tls)
            serving = asyncio.create_task(running.serve())
            while not running.started:  # noqa: ASYNC110 - it has no event for that
                await asyncio.sleep(0.01)
            name = registry.dns_name(PDP)
            place = running.servers[0].sockets[0].getsockname()
            directory = Directory({address: name}, {name: registry.id(PDP)}, {name: place})
            async with httpx.AsyncClient(transport=Connections(directory, ca.svid(PEP))) as http:
                yield AuthZEN(http, address)
            running.should_exit = True
            await serving


def _without_lifespan(app: ASGIApp) -> ASGIApp:
    """Return an app that is alive already."""

    async def alive(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    return alive


if __name__ == "__main__":
    typer.run(main)
