"""`zt policy` at the routes of the policy authority: what operators read, test, activate, roll back and ask."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from typer.testing import Result

from authorities.policy import questions
from authorities.policy.callers import caller
from authorities.policy.inquiries import Inquiries
from authorities.policy.office import Office
from authorities.policy.operators import ROUTES, add_operator_routes, change
from authorities.policy.reasons import PolicyReason
from authorities.policy.versions import MAX_WHY, Version, content_of
from tests.services.test_zt import NAMES, Registered, Zt, program_at, served
from tests.support.pki import CA
from tests.support.policies import versions_in
from tests.support.printed import unspaced
from tests.support.records import CALLER
from tests.support.system import POLICIES, deployment, registry
from zerotrust.audit import event_parts, event_types
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Decided
from zerotrust.audit.forms import sanitize
from zerotrust.audit.segments import Segments
from zerotrust.context import PRINCIPAL
from zerotrust.decision import Denied, Reason
from zerotrust.spiffe.tls import ExpiringTLS
from zt import explanation
from zt import show_policy as showing
from zt.doors import POLICY_AUTHORITY, Place
from zt.output import console
from zt.policy_client import PolicyClient
from zt.reasons import meaning
from zt.show import local

REGISTRY = registry()
TRACE = "0af7651916cd43dd8448eb211c80319c"
SENTENCES = re.findall("^@description.*$", (POLICIES / "documents.cedar").read_text(), re.MULTILINE)
DELETES = 'in [Action::"document.replace", Action::"document.delete"]'


@dataclass
class Records:
    """The recorder of the authority."""

    written: list[event_types.Data] = field(default_factory=list)

    async def write(self, data: event_types.Data) -> None:
        """Keep it."""
        self.written.append(data)


@dataclass
class TheRegistry:
    """Takes what is published, unless it has something against it."""

    against: Denied | None = None

    async def __call__(self, _version: Version) -> None:
        if self.against:
            raise self.against


@dataclass
class Authority:
    """The routes of the authority, without its gate; and the registry that it publishes to."""

    office: Office
    registry: TheRegistry
    recorder: Records

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
            assert request.headers["authorization"].startswith("Bearer ")
            olga = replace(caller("zt-policy", subject="olga", scopes=["policy.admin"]), audience=CALLER.audience)
            olga = replace(olga, token_id="t", client="zt-policy", session="s", lineage=())
            PRINCIPAL.set(olga)
            return await call(request)

        app.add_exception_handler(Denied, refused)
        app.middleware("http")(as_olga)
        return app


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    versions = versions_in(tmp_path / "versions", content_of(POLICIES))
    registered, recorder, state = TheRegistry(), Records(), AsyncMock()
    office = Office(versions, registered, lambda: REGISTRY, lambda version: recorder.write(change(version)), state)
    return Authority(office, registered, recorder)


@pytest.fixture
def zt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, ca: CA) -> Iterator[Zt]:
    """Run `zt` against the authority, as olga, in a copy of the policies."""
    monkeypatch.setattr(ExpiringTLS, "longest", float("inf"))
    monkeypatch.setattr(console, "width", 80)
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
    assert max(map(len, shown.stdout.splitlines()), default=0) <= 80 or "sha256" in shown.stdout
    return shown.stdout


def failed(shown: Result) -> str:
    assert (shown.exit_code, shown.stdout) == (1, "")
    return shown.stderr.strip()


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


def test_policies_are_tested_activated_and_rolled_back(zt: Zt, tmp_path: Path, authority: Authority) -> None:
    assert ok(zt("policy", "test")) == "These are the policies in force, version 1.\n"
    without_deleting(tmp_path)

    tested = ok(zt("policy", "test"))
    assert tested.startswith("These policies are fit to be published.\n2 answers of the decision table change:\n")
    assert "- alice, through orchestrator > agent/writer, with tool.write:\n" in tested
    assert authority.office.versions.active.number == 1

    shown = ok(zt("policy", "activate", "--because", "nothing is deleted"))
    assert shown.startswith("Version 2 is in force.\n2 answers of the decision table change:\n")
    assert "delete" not in ok(zt("policy", "may", "agent/writer"))
    back = ok(zt("policy", "rollback", "1", "--because", "it was a mistake"))
    assert back.startswith(
        "Version 3 is in force. It has the text of version 1.\n2 answers of the decision table change:\n"
    )

    for number, same in ("3", "is in force"), ("1", "has the same text as version 3, which is in force"):
        told = failed(zt("policy", "rollback", number, "--because", "a typo"))
        assert told.startswith(f"Nothing was rolled back: version {number} {same}.  `zt policy list` lists the others.")
    assert authority.office.versions.active.number == 3

    listed = ok(zt("policy", "list")).splitlines()
    assert [line.split()[0] for line in listed if re.match(r" ?\d", line)] == ["3", "2", "1"]
    assert "3 in force" in "\n".join(listed)
    assert "it was a mistake (as version 1)" in " ".join(" ".join(listed).split())
    changes = [one for one in authority.recorder.written if isinstance(one, event_types.RegistryChange)]
    assert [(one.action, one.target.split()[:2], one.cause) for one in changes] == [
        ("activate", ["policy", "2"], "nothing is deleted"),
        ("rollback", ["policy", "3"], "it was a mistake"),
    ]
    assert all(one.principal and one.principal.subject == "olga" for one in changes)


def test_what_is_in_force_already_is_not_activated(zt: Zt, authority: Authority) -> None:
    told = "Nothing was activated: version 1, which is in force, has the same text.\n"
    assert " ".join(ok(zt("policy", "activate", "--because", "again")).split()) == " ".join(told.split())
    assert authority.office.versions.active.number == 1


@pytest.mark.parametrize("why", ["", " ", "two\nlines", "x" * (MAX_WHY + 1)])
def test_a_reason_that_is_none_is_refused_before_anybody_signs_in(zt: Zt, authority: Authority, why: str) -> None:
    for command in ["activate"], ["rollback", "1"]:
        shown = zt("policy", *command, "--because", why)
        assert failed(shown) == "A reason (--because) is one line of 1 to 200 characters."
    assert authority.office.versions.active.number == 1
    longest = "é\u00a0y" + "x" * (MAX_WHY - 3)
    ok(zt("policy", "rollback", "1", "--again", "--because", longest))
    assert authority.office.versions.active.why == longest


def test_what_is_unfit_is_refused_with_what_is_wrong(zt: Zt, tmp_path: Path, authority: Authority) -> None:
    edited(tmp_path, DELETES, '== Action::"document.replace"')

    shown = zt("policy", "test")
    assert shown.exit_code == 1
    assert "These policies may not be published (2 problems):" in shown.stdout
    assert "\nWhich answers change: see `zt policy diff`.\nRule change-own-draft has changed, and" in shown.stdout
    assert " -> " not in shown.stdout
    told = failed(zt("policy", "activate", "--because", "trial"))
    assert "(422 policy_unfit)" in told
    assert "\n- decisions.md, line " in told
    assert authority.office.versions.active.number == 1


def test_of_many_problems_the_number_of_all_is_told(zt: Zt, tmp_path: Path) -> None:
    file = tmp_path / "policies" / "documents.cedar"
    file.write_text(f"{file.read_text()}\npermit (principal, action, resource);\n")

    shown = zt("policy", "test").stdout
    number = int(re.findall(r"may not be published \((\d+) problems\)", shown)[0])
    assert (shown.count("\n- "), f"\nand {number - 50} more.\n" in shown) == (50, True)
    told = failed(zt("policy", "activate", "--because", "trial"))
    assert (told.count("\n- "), told.endswith(f"\nand {number - 20} more.")) == (20, True)


def test_where_there_is_a_fault_the_answers_are_known_later(zt: Zt, tmp_path: Path) -> None:
    edited(
        tmp_path,
        'permit (principal, action == Action::"registry',
        'permits (principal, action == Action::"registry',
        "operators.cedar",
    )

    shown = zt("policy", "test").stdout
    assert shown.startswith("These policies may not be published (1 problem):\n")
    assert shown.endswith("\nWhich answers change is known when these are corrected.\n")


def test_where_the_registry_does_not_take_it_the_operator_knows_what_is_in_force(
    zt: Zt, tmp_path: Path, authority: Authority
) -> None:
    without_deleting(tmp_path)
    authority.registry.against = Denied(Reason.PEER_UNAVAILABLE, "no answer")

    told = failed(zt("policy", "activate", "--because", "trial"))

    assert "Version 2 is kept, and comes into force as soon as the registry takes it." in told
    authority.registry.against = Denied(PolicyReason.POLICY_UNFIT, advice="version 3 is not newer than 7")
    told = failed(zt("policy", "rollback", "1", "--because", "trial"))
    assert "(422 policy_unfit): version 3 is not newer than 7." in told


def test_a_version_is_shown_and_written_to_a_folder_that_tests_as_the_same(zt: Zt, tmp_path: Path) -> None:
    shown = zt("policy", "show")
    assert shown.stdout.startswith("version 1 of ")
    assert f"==> apis.cedar <==\n{(POLICIES / 'apis.cedar').read_text()}" in shown.stdout

    assert ok(zt("policy", "show", "1", "--to", str(tmp_path / "copy"))).startswith("Version 1 is in ")
    assert content_of(tmp_path / "copy") == content_of(POLICIES)
    assert "is not empty: name a new folder" in failed(zt("policy", "show", "1", "--to", str(tmp_path / "copy")))
    assert "There is no version 7.  `zt policy list`" in failed(zt("policy", "show", "7"))
    assert "There is no version 7.  `zt policy list`" in failed(zt("policy", "diff", "7", "1"))


def test_what_differs_is_shown_in_texts_and_answers(zt: Zt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ok(zt("policy", "diff")) == "Nothing differs.\n"
    without_deleting(tmp_path)
    here = zt("policy", "diff").stdout
    assert zt("policy", "diff", str(tmp_path / "policies")).stdout == here
    for given in (["policies", "1"], ["1", "policies"], ["policies", "policies"]):
        told = failed(zt("policy", "diff", *given))
        assert told.startswith("A folder is compared with the version in force alone: `zt policy diff policies`.")
    assert "\n+permit (principal, action == " in here
    assert any(f"\n {line}\n" in here and len(line) > 80 for line in SENTENCES), "a long line is folded"
    assert "2 answers of the decision table change:" in here
    ok(zt("policy", "activate", "--because", "nothing is deleted"))

    monkeypatch.setattr(console, "width", 40)
    long = r"\n- alice, through orchestrator > agent/writer, with .*:\n  document.delete alice's draft: .* -> "
    assert re.search(f"{long}no ", zt("policy", "diff", "1").stdout), "no line is folded"
    assert re.search(f"{long}yes ", zt("policy", "rollback", "1", "--because", "again").stdout)
    assert "2 answers of the decision table change:" in zt("policy", "diff", "1", "2").stdout
    assert zt("policy", "diff", "2", "1").stdout.count("no (resource_denied) -> yes (change-own-draft)") == 2


def test_a_difference_ends_with_whether_a_folder_may_be_published(zt: Zt, tmp_path: Path) -> None:
    edited(tmp_path, DELETES, '== Action::"document.replace"')
    folder = str(tmp_path / "policies")
    hint = "Rule change-own-draft has changed, and its @description has not: is it still true?"
    assert hint in " ".join(zt("policy", "test").stdout.split())
    assert hint in " ".join(zt("policy", "diff").stdout.split())
    for given, test in ([], "zt policy test"), ([folder], f"zt policy test {folder}"):
        shown = zt("policy", "diff", *given)
        assert shown.exit_code == 0
        assert "2 answers of the decision table change:" in shown.stdout
        assert unspaced(shown.stdout).endswith(unspaced(f"These may not be published: see `{test}`."))
    edited(tmp_path, "permit (", "permits (")
    told = " ".join(zt("policy", "diff").stdout.split())
    assert "Which answers" not in told
    assert told.endswith("These may not be published: see `zt policy test`.")


def test_a_version_that_another_operator_activates_meanwhile_is_not_rolled_back(
    zt: Zt, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions, ask = authority.office.versions, PolicyClient.ask
    mended = versions.active.content
    versions.add(mended.model_copy(update={"table": mended.table + "\n"}), by="olga", why="trial")

    async def meanwhile(self: PolicyClient, method: str, path: str, *body: Any) -> Any:
        answer = await ask(self, method, path, *body)
        if path == "/differences/2/1":
            versions.add(mended.model_copy(update={"table": mended.table + "\n\n"}), by="omar", why="stricter")
        return answer

    monkeypatch.setattr(PolicyClient, "ask", meanwhile)
    told = failed(zt("policy", "rollback", "1", "--because", "it was a mistake"))

    assert "Version 3 is in force by now: compare with it, then repeat the command." in " ".join(told.split())
    assert versions.active.number == 3


def test_a_line_is_shown_as_cedar_reads_it(zt: Zt, tmp_path: Path) -> None:
    """What stands behind U+2028 is in the comment, and not a condition."""
    edited(tmp_path, "!context.delegated  // control", "!context.delegated  //\u2028control")

    assert "\n+  !context.delegated  //\\u2028control: published-in-person\n" in zt("policy", "diff").stdout
    shown = zt("policy", "test")
    assert shown.exit_code == 1
    assert "the character U+2028 is not visible: remove it" in " ".join(shown.stdout.split())


def test_policies_are_the_same_if_the_authority_says_so() -> None:
    """And not if no line of them differs."""
    found = {"same": False, "text": "", "answers": [], "problems": [], "active": 1}

    assert all("Nothing differs" not in str(one) for one in showing.differences(found, ""))
    assert "fit to be published" in str(next(iter(showing.tested(found))))


@pytest.mark.parametrize(("more", "number"), [(0, "1 row"), (1, "2 rows")])
def test_where_only_the_rule_differs_the_rows_are_counted(more: int, number: str) -> None:
    row = {"user": "alice", "through": "orchestrator", "scopes": "", "does": "task.run", "at": "orchestrator"}
    answers = [row | {"before": "yes (a)", "after": "yes (a, b)"}] * (more + 1)
    lines = [f"Only the rule or the reason differs: {number} (`zt policy diff --json`)."]

    found = {"same": False, "answers": answers, "problems": [], "active": 1}
    assert [str(one) for one in showing.tested(found)][1:] == ["No answer in the decision table changes.", *lines]
    found["answers"] = [row | {"before": "no (resource_denied)", "after": "yes (a)"}, *answers]
    told = [str(one) for one in showing.tested(found)]
    assert told[1] == "1 answer of the decision table changes:"
    assert told[-1:] == lines
    assert not [line for line in told if "not shown" in line]
    found |= {"more": 12, "cut": True, "text": "+a"}
    assert "12 more rows with other answers are not shown: compare smaller steps." in map(str, showing.tested(found))
    assert [line for line in map(str, showing.differences(found, "")) if line.startswith("The difference goes on: ")]


def test_the_version_in_force_is_published_again_where_that_is_asked_for(zt: Zt, authority: Authority) -> None:
    shown = ok(zt("policy", "rollback", "1", "--because", "a backup was restored", "--again"))

    assert shown.startswith("Version 2 is in force. It has the text of version 1.\nNo answer in the decision table")
    assert authority.office.versions.active.of == 1


def test_what_is_not_read_in_a_folder_is_named(zt: Zt, tmp_path: Path) -> None:
    for name in "more.ceder", ".swp":
        (tmp_path / "policies" / name).touch()
    assert "Not read: more.ceder.\n" in zt("policy", "test").stderr
    for number in range(9):
        (tmp_path / "policies" / f"more.ceder{number}").touch()
    assert (
        '"not_read": ["more.ceder", "more.ceder0", "more.ceder1", "more.ceder2", "more.ceder3"]'
        in zt("policy", "test", "--json").stderr
    )


def test_what_is_no_folder_of_policies_is_said_to_be_that(zt: Zt, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name, told in ("nofolder", "does not exist: name"), ("file", "is a file, not a folder: name"):
        for command in (["test"], ["diff"], ["activate", "--because", "trial"]):
            assert failed(zt("policy", *command, str(tmp_path / name))).startswith(
                f"{tmp_path / name} {told} the folder"
            )
    assert "0 policy files (*.cedar)" in failed(zt("policy", "test", str(tmp_path / "empty")))
    (tmp_path / "policies" / "Documents.cedar").touch()
    assert "policies/Documents.cedar: rename it: a policy file has lower-case letters" in failed(zt("policy", "test"))


def test_what_a_party_may_do_is_a_list(zt: Zt) -> None:
    told = ok(zt("policy", "may", "agent/writer"))

    assert "- tool.write at tool/documents\n" in told
    assert "- a draft of the user's own: create, delete, replace\n" in told
    assert "- what another department has published: nothing\n" in told
    assert "/may/agent/nobody (404 not_registered): No party has that name.  `zt party list`" in failed(
        zt("policy", "may", "agent/nobody")
    )
    assert "is agent/reader meant?" in failed(zt("policy", "may", "reader"))


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


def test_why_bob_was_refused_is_explained_in_words_and_the_refusal_comes_first(
    zt: Zt, tmp_path: Path, authority: Authority
) -> None:
    recorded(tmp_path, authority.office.versions.active.name)

    shown = ok(zt("policy", "explain", TRACE))

    first = authority.office.versions.active
    assert " ".join(shown.split()) == (
        f"Decided by policy {first.name}, in force since {local(first.at)}. "
        "For the user bob (/finance): "
        "no orchestrator > agent/reader asked for document.read ENG-101 (classification internal, department "
        "/engineering, owner carol, state published) No rule permits it. Nearest: read-own-department, but the "
        "document is not in a department of the user; read-public, but the document is not public. "
        "yes orchestrator > agent/reader asked for tool.read at tool/documents (use-an-api) "
        "The rules: "
        "read-own-department: A caller with the scope tool.read may read the public and internal documents of the "
        "user's own department. "
        "read-public: A caller with the scope tool.read may read, for a user of any department, what another one has "
        "published and made public. "
        "use-an-api: For a user of a department, a party may call an API that the registry lets it call, with a token "
        "that has the API's scope; a party that acts for a user does so in one department only."
    )
    each = ok(zt("policy", "explain", "--all", TRACE)).splitlines()
    assert [line.split()[0] for line in each if line.startswith(("yes", "no"))] == ["yes", "no"]


def test_what_is_alike_is_one_line_with_a_count(zt: Zt, tmp_path: Path, authority: Authority) -> None:
    name = authority.office.versions.active.name
    refused = Decided(allowed=False, reason="policy_denied", policy=event_parts.Policy(version=name))
    permitted = Decided(allowed=True, reason="granted", policy=event_parts.Policy(version=name, rules=("use-an-api",)))
    ask = partial(event_types.Request, operation=sanitize("POST tools/call read"))
    of_eve = replace(BOB, subject="eve", groups=())
    recorded(
        tmp_path,
        name,
        *[ask(decision=permitted, principal=BOB, permission="inference.run")] * 9,
        *[ask(decision=refused, principal=BOB, permission="tool.write")] * 30,
        ask(decision=refused, principal=of_eve, permission="tool.read"),
    )

    shown = ok(zt("policy", "explain", TRACE))

    told = " ".join(shown.split())
    assert "no 30 x orchestrator > agent/reader asked for tool.write at tool/documents, for the user bob" in told
    assert "asked for tool.read at tool/documents, for the user eve (no group) No rule permits it." in told
    assert "yes 9 x orchestrator > agent/reader asked for inference.run at tool/documents (use-an-api), for" in told
    assert told.count("use-an-api: For a user of a department") == 1
    assert len(shown.splitlines()) < 40
    assert len(ok(zt("policy", "explain", "--all", TRACE)).splitlines()) > 80


def test_what_was_refused_otherwise_is_said_to_be_that(zt: Zt, tmp_path: Path, authority: Authority) -> None:
    name = authority.office.versions.active.name
    expired = Decided(allowed=False, reason="expired")
    gone = Decided(allowed=False, reason="policy_denied", policy=event_parts.Policy(version="7-123456789abc"))
    before = Decided(allowed=False, reason="policy_denied", policy=event_parts.Policy(version="41d3c5a0b7e2"))
    today = Decided(allowed=False, reason="policy_denied", policy=event_parts.Policy(version=name))
    unknown = Decided(allowed=False, reason="policy_denied", policy=event_parts.Policy(version=name))
    ask = partial(event_types.Request, operation=sanitize("POST tools/call read"), principal=BOB)
    recorded(
        tmp_path,
        name,
        ask(decision=expired, permission="tool.read"),
        ask(decision=gone, permission="tool.read"),
        ask(decision=before, permission="tool.read"),
        ask(decision=today, permission="tool.read"),
        ask(decision=unknown, permission="tool.write"),
        ask(decision=unknown, permission="tool.none"),
    )

    told = " ".join(ok(zt("policy", "explain", TRACE)).split())

    assert "No rule decided this: expired. The token's lifetime is over, or ended while the request was served." in told
    for missing in "7-123456789abc", "41d3c5a0b7e2":
        assert f"policy_denied. The rules of policy {missing} are not kept" in told
    assert f"{name}, in force since" in told
    assert "It was refused then. By the registry of today, it would be permitted by rule use-an-api. no" in told
    assert "use-an-api, but the token does not have the scope tool.write, and the registry does not let this" in told
    assert "With the same token and the same thing it may: tool.read." in told
    assert "No rule is about tool.none, so nobody may do it." in told


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
    others = [versions.add(versions.active.content, by="omar", why="again").name for _ in range(most)]

    def ask(
        policy: str, *, principal: event_parts.Caller = BOB, permission: str | None = "tool.write"
    ) -> event_types.Request:
        decision = Decided(allowed=False, reason="policy_denied", policy=event_parts.Policy(version=policy))
        return event_types.Request(
            operation=sanitize("POST /"), decision=decision, principal=principal, permission=permission
        )

    recorded(
        tmp_path,
        name,
        ask("1-zzz"),
        ask(name, principal=replace(BOB, subject="x" * 1001)),
        ask(name, principal=replace(BOB, groups=tuple(map(str, range(101))))),
        ask(name, permission=None),
        ask(name),
        *map(ask, others),
    )

    found = json.loads(zt("policy", "explain", TRACE, "--json").stdout)

    explained = dict.fromkeys(one["policy"] for one in found["decisions"] if one["nearest"])
    assert [*explained] == [name, *others[: most - 1]]
    assert [one["fit"] for one in found["decisions"]].count(False) == 3
    assert found["left_out"] == 1


@pytest.mark.parametrize(
    "reason", [Reason.REVOKED, Reason.POLICY_EXPIRED, Reason.POLICY_ERROR, Reason.POLICY_UNKNOWN, Reason.MALFORMED_BODY]
)
def test_what_no_rule_decided_is_explained_by_its_reason_and_not_by_rules(
    zt: Zt, tmp_path: Path, authority: Authority, reason: Reason
) -> None:
    """The record of such a refusal names the version in force as well, of which a rule may permit the same."""
    name = "none" if reason is Reason.POLICY_UNKNOWN else authority.office.versions.active.name
    refused = Decided(allowed=False, reason=reason, policy=event_parts.Policy(version=name))
    recorded(
        tmp_path,
        authority.office.versions.active.name,
        event_types.Request(operation=sanitize("POST /"), decision=refused, principal=BOB, permission="tool.read"),
    )

    told = " ".join(ok(zt("policy", "explain", TRACE)).split())
    *_, one = json.loads(zt("policy", "explain", TRACE, "--json").stdout)["decisions"]

    asked = "no orchestrator > agent/reader asked for tool.read at tool/documents"
    assert f"{asked} No rule decided this: {reason}. {meaning(reason)} yes orchestrator" in told
    assert (one["meaning"], one["nearest"], one["instead"], one["now"]) == (meaning(reason), None, None, None)


def test_the_sentences_of_a_version_that_decided_nothing_are_not_asked_for(
    zt: Zt, tmp_path: Path, authority: Authority
) -> None:
    """Otherwise, nothing would be left of what may be asked for at once."""
    ask = partial(event_types.Request, operation=sanitize("POST /"), principal=BOB, permission="inference.run")

    def decided(reason: Reason, version: str, *rules: str) -> Decided:
        allowed = reason is Reason.GRANTED
        return Decided(allowed=allowed, reason=reason, policy=event_parts.Policy(version=version, rules=rules or None))

    refused = [decided(Reason.REVOKED, f"{number}-123456789abc") for number in range(2, 2 + explanation.MOST_VERSIONS)]
    permitted = decided(Reason.GRANTED, authority.office.versions.active.name, "use-an-api")
    recorded(tmp_path, "7-123456789abc", *(ask(decision=one) for one in (*refused, permitted)))

    told = " ".join(ok(zt("policy", "explain", TRACE)).split())

    assert f"use-an-api (policy {authority.office.versions.active.name}): For a user of a department" in told
    assert "use-an-api (policy 7-123456789abc): not kept any longer" in told


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
        versions.add(first.content.model_copy(update={"policies": policies}), by="olga", why="trial")
    names = [one.name for one in versions.all()]
    yes = [
        Decided(allowed=True, reason="granted", policy=event_parts.Policy(version=name, rules=("use-an-api",)))
        for name in names
    ]
    ask = partial(event_types.Request, operation=sanitize("POST /"), principal=BOB, permission="tool.read")
    recorded(tmp_path, first.name, *(ask(decision=one) for one in yes))

    told = " ".join(ok(zt("policy", "explain", TRACE)).split())
    answer = json.loads(zt("policy", "explain", TRACE, "--json").stdout)

    assert all(f"(use-an-api, policy {name})" in told for name in names)
    assert "not kept any longer" not in told
    assert told.count("For a user of a department, a party may call") == 1
    assert [(one["number"], one["in_force"]) for one in answer["versions"]] == [
        (1, False), (5, True), (4, False), (3, False), (2, False)
    ]  # fmt: skip


def test_a_version_that_was_replaced_since_is_said_to_be_that(zt: Zt, tmp_path: Path, authority: Authority) -> None:
    first = authority.office.versions.active
    recorded(tmp_path, first.name)
    without_deleting(tmp_path)
    ok(zt("policy", "activate", "--because", "nothing is deleted"))

    told = " ".join(ok(zt("policy", "explain", TRACE)).split())

    until = local(authority.office.versions.active.at)
    assert told.startswith(
        f"Decided by policy {first.name}, in force from {local(first.at)} until {until}. Version 2 is in force now; "
        "`zt policy diff 1` compares"
    )


def test_a_scope_that_is_missing_is_explained_by_the_rule_that_asks_for_it(
    zt: Zt, tmp_path: Path, authority: Authority
) -> None:
    name = authority.office.versions.active.name
    refused = Decided(allowed=False, reason="scope_missing", policy=event_parts.Policy(version=name))
    ask = partial(event_types.Request, operation=sanitize("POST /"), decision=refused)
    recorded(tmp_path, name, ask(principal=replace(BOB, scopes=()), permission="tool.read"))

    told = " ".join(ok(zt("policy", "explain", TRACE)).split())

    assert "Nearest: use-an-api, but the token does not have the scope tool.read." in told


def test_as_json_an_explanation_has_everything(zt: Zt, tmp_path: Path, authority: Authority) -> None:
    recorded(tmp_path, authority.office.versions.active.name)

    yes, no = json.loads(zt("policy", "explain", TRACE, "--json").stdout)["decisions"]

    assert (yes["allowed"], yes["nearest"], [rule["id"] for rule in yes["rules"]]) == (True, None, ["use-an-api"])
    assert (no["allowed"], no["user"]) == (False, {"subject": "bob", "groups": ["/finance"]})
    assert {one["id"] for one in no["nearest"]} == {"read-own-department", "read-public"}


def test_no_more_refusals_are_explained_than_are_asked_at_once(
    zt: Zt, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explanation, "MOST", 1)
    name = authority.office.versions.active.name
    recorded(tmp_path, name)
    recorded(tmp_path, name)

    told = ok(zt("policy", "explain", TRACE))

    assert told.count("read-own-department, but") == 1
    assert "1 more refusals are not shown: ask with the id of a token." in told


def test_nobody_s_refusals_take_the_place_of_another_s(
    zt: Zt, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's journal has many, in others' names and dated earlier."""
    monkeypatch.setattr(explanation, "MOST", 2)
    name = authority.office.versions.active.name
    policy = event_parts.Policy(version=name)
    invented = event_types.Request(
        operation=sanitize("POST /"),
        decision=Decided(allowed=False, reason="scope_missing", policy=policy),
        principal=replace(BOB, scopes=()),
        permission="tool.read",
    )
    recorded(tmp_path, name, *[invented] * 9, journal_of="agent-writer")
    recorded(tmp_path, name, since=100)

    told = json.loads(zt("policy", "explain", TRACE, "--json").stdout)

    refused = [one["asked"] for one in told["decisions"] if not one["allowed"]]
    assert (refused, told["left_out"]) == (["document.read", "document.read"], 9)


def test_what_no_record_names_is_not_explained(zt: Zt, tmp_path: Path, authority: Authority) -> None:
    recorded(tmp_path, authority.office.versions.active.name)

    assert "is about ffffffffffffffffffffffffffffffff." in failed(zt("policy", "explain", "f" * 32))
    assert "is no id" in failed(zt("policy", "explain", "bob"))


def test_every_route_is_guarded_and_every_guarded_route_is_there(authority: Authority) -> None:
    ours = [
        route
        for route in authority.app.routes
        if isinstance(route, APIRoute) and route.endpoint.__module__ == add_operator_routes.__module__
    ]

    assert {(method, route.path) for route in ours for method in route.methods or ()} == {*ROUTES}
