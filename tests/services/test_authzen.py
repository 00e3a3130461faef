"""The policy authority's AuthZEN API over mutual TLS: the certification scenario, and the same answers as services'."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from authorities.policy import decisions
from authorities.policy.authzen import MAX_EVALUATIONS, Question
from authorities.policy.authzen_api import METADATA, Answer
from authorities.policy.authzen_routes import IN_A_PASS, MAX_REQUEST
from authzen.client import EVALUATION, EVALUATIONS, AuthZEN
from testkit import principal
from tests.support.authzen_fixture import FixturePoint
from tests.support.authzen_scenario import ANSWERED, REFUSED, asked
from tests.support.issuer import Issuer
from tests.support.pdp import PDP, PEP, authority, certificate, client, listening, point
from tests.support.system import POLICIES, POLICY, System
from zerotrust.decision import Decision, Reason, Resource
from zerotrust.registry.model import Registry
from zerotrust.runtime import policy_of
from zerotrust.service import Service

JSON = {"content-type": "application/json"}


async def test_every_request_of_the_scenario_is_answered_over_http(tmp_path: Path, registry: Registry) -> None:
    async with listening(tmp_path, registry, FixturePoint) as address, client(address, tmp_path) as http:
        for section, path, told, expected in ANSWERED:
            for _ in range(2):  # 2.6: the same again
                answer = await http.post(path, json=told)
                assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), section
                assert answer.json() == expected, section
        for section, path, told, why in REFUSED:
            answer = await http.post(path, json=told)
            assert (answer.status_code, answer.text) == (400, why), section


async def test_headers_paths_and_methods(tmp_path: Path, registry: Registry) -> None:
    async with listening(tmp_path, registry, FixturePoint) as address, client(address, tmp_path) as http:
        for status, path, told in [
            (200, EVALUATION, asked()),
            (400, EVALUATION, {}),
        ]:
            answer = await http.post(path, json=told, headers={"X-Request-ID": "bfe9eb29-ab87"})
            assert (answer.status_code, answer.headers["x-request-id"]) == (status, "bfe9eb29-ab87")
            assert "x-request-id" not in (await http.post(path, json=told)).headers

        assert (await http.post("/access/v1/search/action", json=asked())).status_code == 401

        answer = await http.get(METADATA)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        base = registry.address(PDP)
        assert answer.json() == {
            "policy_decision_point": base,
            "access_evaluation_endpoint": base + EVALUATION,
            "access_evaluations_endpoint": base + EVALUATIONS,
        }


async def test_a_request_is_bounded(tmp_path: Path, registry: Registry) -> None:
    async with listening(tmp_path, registry, FixturePoint) as address, client(address, tmp_path) as http:
        padded = json.dumps(asked(padding="x" * MAX_REQUEST)).encode()
        answer = await http.post(EVALUATION, content=padded, headers=JSON)
        assert (answer.status_code, answer.json()["reason"]) == (413, Reason.BODY_TOO_LARGE)

        exact = padded.replace(b"x", b"", len(padded) - MAX_REQUEST)
        assert len(exact) == MAX_REQUEST
        assert (await http.post(EVALUATION, content=exact, headers=JSON)).json() == {"decision": True}

        many = json.dumps(asked(padding=[0] * 11_000)).encode()
        assert (await http.post(EVALUATION, content=many, headers=JSON)).status_code == 400


class Counting(FixturePoint):
    decided = 0

    def decide(self, question: Question) -> Answer:
        self.decided += 1
        return super().decide(question)


async def test_few_questions_are_decided_in_one_pass(tmp_path: Path, registry: Registry) -> None:
    """However many batches one caller sends at once."""
    point, batch = Counting(), asked(evaluations=[{}] * MAX_EVALUATIONS)
    async with listening(tmp_path, registry, lambda: point) as address, client(address, tmp_path) as http:
        sent = [asyncio.create_task(http.post(EVALUATIONS, json=batch)) for _ in range(3)]
        seen = list[int]()
        while not all(task.done() for task in sent):
            before = point.decided
            await asyncio.sleep(0)
            seen.append(point.decided - before)

    assert [task.result().status_code for task in sent] == [200] * 3
    assert point.decided == 3 * MAX_EVALUATIONS
    assert max(seen) <= 2 * IN_A_PASS  # it was not looked at the same moment of each pass


# --- the same answers as those of the services ------------------------------------------------------------------------

OUTSIDE_PEP = """
import json, ssl, sys, urllib.request
from decern import Client

address, shown, trusted = sys.argv[1:]
tls = ssl.create_default_context(cafile=trusted)
tls.load_cert_chain(shown)
urllib.request.install_opener(urllib.request.build_opener(urllib.request.HTTPSHandler(context=tls)))
pep = Client(address)
print(json.dumps([pep.evaluate(**asked).allowed for asked in json.load(sys.stdin)]))
"""
"""An enforcement point of others: decern's AuthZEN client over Python's own HTTP, in a process of its own."""


async def test_the_decision_table_is_answered_over_http_as_the_services_decide(
    tmp_path: Path, registry: Registry
) -> None:
    table = decisions.read_rows((POLICIES / decisions.FILE).read_text(), registry)
    here, decides = policy_of(POLICY, registry), point(registry)
    async with listening(tmp_path, registry, lambda: decides) as address, client(address, tmp_path) as http:
        pdp = AuthZEN(http, address)
        for row in table:
            asking = pdp.decide_on if isinstance(row.at, Resource) else pdp.decide
            answer = asking(row.who, row.action, row.at)  # type: ignore[arg-type]
            there, decided = answer if isinstance(answer, Decision) else await answer, row.ask(here)
            assert not row.differs(there), row
            assert (there.allowed, there.reason, there.rules) == (decided.allowed, decided.reason, decided.rules), row

        by_caller = groupby(sorted(table, key=lambda row: repr(row.who)), key=lambda row: row.who)
        for who, rows in ((who, [*rows]) for who, rows in by_caller):
            answers = await pdp.decide_each(who, [(row.action, row.at) for row in rows])
            assert [answer.reason for answer in answers] == [row.ask(here).reason for row in rows]


async def test_an_enforcement_point_of_others_gets_the_same_answers(tmp_path: Path, registry: Registry) -> None:
    table = decisions.read_rows((POLICIES / decisions.FILE).read_text(), registry)
    decides, questions = point(registry), json.dumps([asked_by_others(row) for row in table]).encode()
    async with listening(tmp_path, registry, lambda: decides) as address:
        arguments = [address, *map(str, certificate(PEP, tmp_path))]
        pep = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", OUTSIDE_PEP, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        said, _ = await pep.communicate(questions)

    assert json.loads(said) == [row.allowed for row in table]


def asked_by_others(row: decisions.Row) -> dict[str, Any]:
    """A row of the decision table as docs/reference/authzen.md has it."""
    resource: dict[str, Any] = {"type": "Party", "id": row.at}
    if isinstance(row.at, Resource):
        resource = {"type": row.at.kind, "id": row.at.name, "properties": dict(row.at.attributes)}
    return {
        "subject": {"type": "user", "id": row.who.subject, "properties": {"groups": [*row.who.groups]}},
        "action": row.action,
        "resource": resource,
        "context": {"agent": row.who.party, "actors": [*row.who.actors], "scopes": [*row.who.scopes]},
    }


async def test_the_authority_answers_by_the_version_in_force(tmp_path: Path, issuer: Issuer) -> None:
    system = System(tmp_path, issuer.registry, issuer, Service, time.time)
    reader = principal(party=issuer.registry.id("agent/reader"), groups=frozenset({"/engineering"}))
    reading = replace(reader, scopes=frozenset({"tool.read"}))
    public = {"department": "/engineering", "state": "published", "owner": "bob", "classification": "public"}
    document = Resource("Document", "D-1", (*public.items(),))
    async with authority(system) as versions:
        asks = system.policy("tool/documents")
        for number, content in enumerate(
            [
                versions.active.content,
                versions.active.content.model_copy(
                    update={"policies": {**versions.active.content.policies, "documents.cedar": ""}}
                ),
                versions.active.content,
            ],
            1,
        ):
            if number > 1:
                versions.use(versions.add(content, by="olga", why="a test"))
            answer = asks.decide_on(reading, "document.read", document)
            decision = answer if isinstance(answer, Decision) else await answer
            assert (decision.allowed, decision.policy) == (number != 2, versions.active.name)
            assert decision.policy.startswith(f"{number}-")
