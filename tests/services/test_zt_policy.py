"""`zt policy` at the routes of the policy authority: what operators read, test, activate, roll back and ask."""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from syrupy.assertion import SnapshotAssertion
from typer.testing import Result

from authorities.policy import operators, questions
from authorities.policy.activation import PolicyActivation
from authorities.policy.callers import caller
from authorities.policy.differences import SAME_SENTENCE
from authorities.policy.inquiries import Inquiries
from authorities.policy.operators import add_operator_routes, changes
from authorities.policy.versions import content_of
from tests.support.operator import NAMES, Registered, Zt, check_proven, failed, program_at, served
from tests.support.pki import CA
from tests.support.policies import versions_in
from tests.support.printed import session
from tests.support.records import CALLER
from tests.support.system import POLICIES, deployment, registry
from zerotrust.audit import event_parts, event_types
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.forms import sanitize
from zerotrust.audit.segments import Segments
from zerotrust.context import REQUEST, RequestContext
from zerotrust.decision import Denied, Reason
from zt.output import console
from zt.people.authorities import POLICY_AUTHORITY, Place
from zt.people.authority_client import PolicyClient
from zt.policy import explanation

REGISTRY = registry()
TRACE = "0af7651916cd43dd8448eb211c80319c"
DELETES = 'in [Action::"document.replace", Action::"document.delete"]'


@dataclass
class Authority:
    """The routes of the authority, without its gate."""

    office: PolicyActivation
    written: list[event_types.RegistryChange] = field(default_factory=list)
    """What it has recorded."""

    @property
    def app(self) -> FastAPI:
        """The app."""
        app = FastAPI()
        add_operator_routes(app, self.office, Inquiries(self.office.versions, lambda: REGISTRY))

        async def refused(_request: Request, error: Exception) -> Response:
            refusal = cast("Denied", error)
            told = {"error": refusal.error, "reason": refusal.reason, "advice": refusal.advice, **refusal.more}
            return JSONResponse(told, refusal.status)

        async def as_olga(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
            check_proven(request)
            olga = replace(caller("zt-policy", subject="olga", scopes=["policy.admin"]), audience=CALLER.audience)
            olga = replace(olga, token_id="t", client="zt-policy", session="s", lineage=())
            REQUEST.set(RequestContext(principal=olga))
            return await call(request)

        app.add_exception_handler(Denied, refused)
        app.middleware("http")(as_olga)
        return app


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    versions = versions_in(tmp_path / "versions", content_of(POLICIES))
    written = list[event_types.RegistryChange]()

    async def record(*activated: Any) -> None:
        written.extend(changes(*activated))

    office = PolicyActivation(versions, AsyncMock(), lambda: REGISTRY, record)
    return Authority(office, written)


@pytest.fixture
def zt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, ca: CA) -> Iterator[Zt]:
    """Run `zt` against the authority, as olga, in a copy of the policies."""
    monkeypatch.setattr(console, "width", 1000)
    monkeypatch.setenv("ZT_SYSTEM", str(tmp_path))
    (tmp_path / "policies").mkdir()
    for file in POLICIES.iterdir():
        (tmp_path / "policies" / file.name).write_bytes(file.read_bytes())
    place = Place.of(REGISTRY, deployment(), issuer="https://localhost:8443/realms/agents", ca=tmp_path / "ca.pem")
    there = replace(place, doors={**place.doors, POLICY_AUTHORITY.scope: f"https://{NAMES[0]}"})
    with served(cast("Registered", authority.app), *ca.party(tmp_path, *NAMES)) as port:
        yield program_at(monkeypatch, there, port, ca, POLICY_AUTHORITY)


def ok(shown: Result) -> str:
    assert shown.exit_code == 0, shown.output
    return shown.stdout


def edited(folder: Path, old: str, new: str, file: str = "documents.cedar") -> None:
    path = folder / "policies" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def without_deleting(folder: Path) -> None:
    """Nobody deletes a draft any more, and the table says so."""
    edited(folder, DELETES, '== Action::"document.replace"')
    edited(
        folder,
        "document.delete | alice's draft | yes | change-own-draft |",
        "document.delete | alice's draft | no | resource_denied |",
        "decisions.md",
    )


def test_policies_are_tested_activated_and_rolled_back(
    zt: Zt, tmp_path: Path, authority: Authority, snapshot: SnapshotAssertion
) -> None:
    told = session(zt, "policy test")
    without_deleting(tmp_path)
    told += session(
        zt,
        "policy test",
        "policy activate --because 'nothing is deleted'",
        "policy rollback 1 --because 'it was a mistake'",
        "policy rollback 3 --because 'a typo'",
        "policy rollback 1 --because 'a typo'",
        "policy rollback 1 --again --because 'a backup was restored'",
        "policy list",
    )

    assert told == snapshot
    assert [(one.action, one.target.split()[:2], one.cause) for one in authority.written if one.principal] == [
        ("activate", ["policy", "2"], "nothing is deleted"),
        ("rollback", ["policy", "3"], "it was a mistake"),
        ("rollback", ["policy", "4"], "a backup was restored"),
    ]
    assert {one.principal.subject for one in authority.written if one.principal} == {"olga"}
    rule, *answers, _activation = [one for one in authority.written if one.target.startswith("policy 2 ")]
    assert rule.target == "policy 2 rule change-own-draft"
    assert str(rule.cause).endswith(f" -> {SAME_SENTENCE}")
    assert [(one.target, one.cause) for one in answers] == [
        (
            f"policy 2 alice, through {through}: document.delete alice's draft",
            "yes (change-own-draft) -> no (resource_denied)",
        )
        for through in ("orchestrator > agent/writer", "walkthrough")
    ]


def test_so_many_changes_go_on_record(
    zt: Zt, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "MOST_RECORDED", 2)
    rename_and_reword(tmp_path)
    ok(zt("policy", "activate", "--because", "trial"))

    *told, _activation = authority.written
    assert [one.target for one in told] == ["policy 2 rule change-my-draft", "policy 2 rule change-own-draft"]


def change_a_rule_alone(folder: Path) -> None:
    edited(folder, DELETES, '== Action::"document.replace"')


def rename_and_reword(folder: Path) -> None:
    for file in ("documents.cedar", "decisions.md"):
        edited(folder, "change-own-draft", "change-my-draft", file)
    edited(folder, "For a user of a department, a party", "A party", "apis.cedar")


def misspell(folder: Path) -> None:
    edited(
        folder,
        'permit (principal, action == Action::"registry',
        'permits (principal, action == Action::"registry',
        "operators.cedar",
    )


def add_what_is_not_read(folder: Path) -> None:
    for name in "more.ceder", ".swp":
        (folder / "policies" / name).touch()


def have_other_folders(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "file").touch()


TOLD: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "what is in force already": (lambda _: None, ["policy activate --because again"]),
    "a rule that changed alone": (
        change_a_rule_alone,
        ["policy test {folder}/policies", "policy activate --because trial"],
    ),
    "a rule that is renamed, and a sentence": (rename_and_reword, ["policy test"]),
    "a fault": (misspell, ["policy test"]),
    "files that are not read": (add_what_is_not_read, ["policy test"]),
    "what is no folder": (
        have_other_folders,
        [f"policy {what} {{folder}}/nofolder" for what in ("test", "activate --because trial")]
        + [f"policy test {{folder}}/{name}" for name in ("file", "empty")],
    ),
    "a file of another name": (lambda folder: (folder / "policies/Documents.cedar").touch(), ["policy test"]),
    "a version that is not there": (lambda _: None, ["policy show 7", "policy rollback 7 --because trial"]),
}
"""What is changed, and the commands that follow; none of them changes what is in force."""


@pytest.mark.parametrize("case", TOLD)
def test_a_person_is_told_what_is_wrong_and_what_to_do_next(
    zt: Zt, tmp_path: Path, authority: Authority, snapshot: SnapshotAssertion, case: str
) -> None:
    change, commands = TOLD[case]
    change(tmp_path)

    assert session(zt, *(command.format(folder=tmp_path) for command in commands)) == snapshot
    assert authority.office.versions.active.number == 1


def test_a_version_is_shown_and_written_to_a_folder_that_tests_as_the_same(zt: Zt, tmp_path: Path) -> None:
    shown = zt("policy", "show")
    assert shown.stdout.startswith("version 1 of ")
    assert f"==> apis.cedar <==\n{(POLICIES / 'apis.cedar').read_text()}" in shown.stdout

    assert ok(zt("policy", "show", "1", "--to", str(tmp_path / "copy"))).startswith("Version 1 is in ")
    assert content_of(tmp_path / "copy") == content_of(POLICIES)
    assert "is not empty: name a new folder" in failed(zt("policy", "show", "1", "--to", str(tmp_path / "copy")))


def test_a_version_that_another_operator_activates_meanwhile_is_not_rolled_back(
    zt: Zt, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, ask = authority.office.versions, PolicyClient.ask
    mended = versions.active.content
    versions.use(versions.add(mended.model_copy(update={"table": mended.table + "\n"}), by="olga", why="trial"))

    async def meanwhile(self: PolicyClient, method: str, path: str, *body: Any) -> Any:
        answer = await ask(self, method, path, *body)
        if path == "/versions/test":
            versions.use(
                versions.add(mended.model_copy(update={"table": mended.table + "\n\n"}), by="omar", why="stricter")
            )
        return answer

    monkeypatch.setattr(PolicyClient, "ask", meanwhile)
    told = failed(zt("policy", "rollback", "1", "--because", "it was a mistake"))

    assert "Version 3 is in force by now: compare with it, then repeat the command." in told
    assert versions.active.number == 3


def test_what_is_not_read_in_a_folder_is_named(zt: Zt, tmp_path: Path) -> None:
    add_what_is_not_read(tmp_path)
    for number in range(9):
        (tmp_path / "policies" / f"more.ceder{number}").touch()
    assert (
        '"not_read": ["more.ceder", "more.ceder0", "more.ceder1", "more.ceder2", "more.ceder3"]'
        in zt("policy", "test", "--json").stderr
    )


# --- explained --------------------------------------------------------------------------------------------------------

READER, TOOL = REGISTRY.id("agent/reader"), REGISTRY.id("tool/documents")
BOB = replace(
    CALLER,
    subject="bob",
    party=READER,
    actors=(READER, REGISTRY.id("orchestrator")),
    audience=TOOL,
    scopes=("tool.read",),
    groups=("/finance",),
)
REPORT = {"department": "/engineering", "state": "published", "owner": "carol", "classification": "internal"}


def recorded(
    folder: Path, policy: str, *more: event_types.Data, journal_of: str = "tool-documents", since: int = 0
) -> None:
    """A task of bob's: the tool is opened, and a document of another department is not."""
    yes = Decided(allowed=True, reason="granted", policy=event_parts.Policy(version=policy, rules=("use-an-api",)))
    no = Decided(allowed=False, reason="resource_denied", policy=event_parts.Policy(version=policy))
    thing = event_parts.Resource(
        kind="Document", name=sanitize("ENG-101"), attributes={k: sanitize(v) for k, v in REPORT.items()}
    )
    records = [
        event_types.Request(
            operation=sanitize("POST tools/call read"), decision=yes, principal=BOB, permission="tool.read"
        ),
        event_types.Access(operation=sanitize("document.read"), resource=thing, decision=no, principal=BOB),
        *more,
    ]
    trace = event_parts.Trace(trace_id=TRACE, span_id="00f067aa0ba902b7")
    journal = Segments(folder / "journals" / journal_of / "journal.jsonl")
    journal.commit(
        [
            AuditEvent(schema=1, time=since + number, service=TOOL, data=data, trace=trace).canonical()
            for number, data in enumerate(records, 1)
        ]
    )
    journal.close()


def refused(version: str | None, reason: str = "policy_denied") -> Decided:
    return Decided(allowed=False, reason=reason, policy=event_parts.Policy(version=version) if version else None)


def permitted(version: str) -> Decided:
    policy = event_parts.Policy(version=version, rules=("use-an-api",))
    return Decided(allowed=True, reason="granted", policy=policy)


def asked(
    decision: Decided, permission: str | None = "tool.read", principal: event_parts.Caller = BOB
) -> event_types.Request:
    """What bob's reader asked for, and how that was decided."""
    return event_types.Request(
        operation=sanitize("POST tools/call read"), decision=decision, principal=principal, permission=permission
    )


Events = list[event_types.Request]
EXPLAINED: dict[str, Callable[[str], Events]] = {
    "what is alike": lambda version: [
        *[asked(permitted(version), "inference.run")] * 9,
        *[asked(refused(version), "tool.write")] * 30,
        asked(refused(version), principal=replace(BOB, subject="eve", groups=())),
    ],
    "what was refused otherwise": lambda version: [
        asked(refused(None, "expired")),
        asked(refused("7-123456789abc")),
        asked(refused("41d3c5a0b7e2")),
        asked(refused(version)),
        asked(refused(version), "tool.write"),
        asked(refused(version), "tool.none"),
    ],
    "a scope that is missing": lambda version: [
        asked(refused(version, "scope_missing"), principal=replace(BOB, scopes=())),
    ],
}
"""What is on record of a task beside bob's refusal, by the version in force."""


@pytest.mark.parametrize("case", EXPLAINED)
def test_the_refusals_come_first_and_are_explained_by_the_nearest_rules(
    zt: Zt, tmp_path: Path, authority: Authority, snapshot: SnapshotAssertion, case: str
) -> None:
    version = authority.office.versions.active.name
    recorded(tmp_path, version, *(events := EXPLAINED[case](version)))

    assert ok(zt("policy", "explain", TRACE)).partition("The rules:\n")[0] == snapshot
    assert len(json.loads(ok(zt("policy", "explain", TRACE, "--json")))["decisions"]) == 2 + len(events)


def test_no_more_is_asked_at_once_than_the_authority_takes() -> None:
    assert (explanation.MOST, explanation.MOST_VERSIONS) == (questions.MOST_ASKED, questions.MOST_VERSIONS)
    for name in ("LONGEST_TEXT", "MOST_NAMES", "MOST_ATTRIBUTES"):
        assert getattr(explanation, name) == getattr(questions, name)


def test_records_that_no_service_writes_leave_the_rest_explained(
    zt: Zt, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A party that runs other code has them in its own journal, with the trace of any task."""
    monkeypatch.setattr(explanation, "MOST_VERSIONS", most := 2)
    versions = authority.office.versions
    name = versions.active.name
    others = [versions.use(versions.add(versions.active.content, by="omar", why="again")).name for _ in range(most)]
    recorded(
        tmp_path,
        name,
        asked(refused("1-zzz"), "tool.write"),
        asked(refused(name), "tool.write", replace(BOB, subject="x" * 1001)),
        asked(refused(name), "tool.write", replace(BOB, groups=tuple(map(str, range(101))))),
        asked(refused(name), None),
        asked(refused(name), "tool.write"),
        *(asked(refused(other), "tool.write") for other in others),
    )

    found = json.loads(zt("policy", "explain", TRACE, "--json").stdout)

    explained = dict.fromkeys(one["policy"] for one in found["decisions"] if one["nearest"])
    assert [*explained] == [name, *others[: most - 1]]
    assert [one["fit"] for one in found["decisions"]].count(False) == 3
    assert found["left_out"] == 1


def test_what_no_rule_decided_is_explained_by_its_reason_and_not_by_rules(
    zt: Zt, tmp_path: Path, authority: Authority, snapshot: SnapshotAssertion
) -> None:
    """The record of such a refusal names the version in force as well, of which a rule may permit the same."""
    version = authority.office.versions.active.name
    reasons = Reason.REVOKED, Reason.POLICY_EXPIRED, Reason.POLICY_ERROR, Reason.MALFORMED_BODY
    unknown = asked(refused("none", Reason.POLICY_UNKNOWN))
    recorded(tmp_path, version, *(asked(refused(version, reason)) for reason in reasons), unknown)

    assert ok(zt("policy", "explain", TRACE)) == snapshot
    decisions = json.loads(zt("policy", "explain", TRACE, "--json").stdout)["decisions"]
    by_no_rule = [(one["reason"], one["nearest"], one["now"]) for one in decisions if one["meaning"]]
    assert sorted(by_no_rule) == sorted((reason, None, None) for reason in (*reasons, Reason.POLICY_UNKNOWN))


def test_the_sentences_of_all_versions_that_are_kept_are_told(
    zt: Zt, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where more of them decided than are asked for at once."""
    monkeypatch.setattr(explanation, "MOST_VERSIONS", 2)
    versions = authority.office.versions
    first = versions.active
    for number in range(2, 6):
        file = "documents.cedar"
        policies = first.content.policies | {file: first.content.policies[file] + f"// {number}\n"}
        versions.use(versions.add(first.content.model_copy(update={"policies": policies}), by="olga", why="trial"))
    names = [one.name for one in versions.all()]
    recorded(tmp_path, first.name, *(asked(permitted(name)) for name in names))

    told = ok(zt("policy", "explain", TRACE))
    answer = json.loads(zt("policy", "explain", TRACE, "--json").stdout)

    assert all(f"(use-an-api, policy {name})" in told for name in names)
    assert "not kept any longer" not in told
    assert told.count("For a user of a department, a party may call") == 1
    assert [(one["number"], one["in_force"]) for one in answer["versions"]] == [
        (1, False), (5, True), (4, False), (3, False), (2, False)
    ]  # fmt: skip
