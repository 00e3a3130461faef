"""T. The versions of the policies: what an operator by mistake, or whoever has the disk, would put into force."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from authorities.policy import fit
from authorities.policy.activation import PolicyActivation
from authorities.policy.decisions import ACCESS, DOCUMENTS
from authorities.policy.reasons import PolicyReason
from authorities.policy.startup import begin
from authorities.policy.versions import Content, OnRecord, Version, Versions, VersionsError, content_of
from tests.support.attack import POLICY_AUTHORITY, Attempt, Target, Tries, attack
from tests.support.attack_policy import Governed, with_policy_authority
from tests.support.policies import on_record, versions_in
from tests.support.system import POLICIES
from zerotrust.decision import Denied

IN_PERSON = "!context.delegated"
LINE = re.compile(r"^decisions\.md, line (\d+) ")


def weaker(content: Content) -> Content:
    """The policies under which an agent may replace what is published."""
    documents = content.policies["documents.cedar"]
    assert IN_PERSON in documents
    before, _, after = documents.rpartition(IN_PERSON)
    return content.model_copy(update={"policies": content.policies | {"documents.cedar": f"{before}true{after}"}})


def versions_of(target: Target) -> Versions:
    """The versions of an authority whose disk the attacker has."""
    return versions_in(target.system.folder / "versions", content_of(POLICIES))


def stricter(content: Content) -> Content:
    """Other policies: what matters is that an operator has put them into force."""
    return content.model_copy(update={"table": content.table + "\n"})


async def activated(target: Governed, content: Content, **more: Any) -> Attempt:
    """What comes of an operator's activation: the attack has succeeded if it is in force."""
    body: Mapping[str, Any] = {"content": content.model_dump(mode="json"), "why": "a mistake", **more}
    tried = await target.send(POLICY_AUTHORITY, target.operating(), path="/versions", body=body)
    return Attempt(tried.told, target.versions.active.content == content, tried.reasons)


@attack(360, with_policy_authority)
async def test_an_operator_activates_policies_by_which_agents_do_what_people_may(target: Governed) -> Tries:
    """Misled, or in a hurry: the decision table that goes with them says otherwise, and so do the rules for people."""
    yield await activated(target, weaker(target.versions.active.content))


@attack(361, with_policy_authority)
async def test_an_operator_activates_over_a_version_that_they_have_not_seen(target: Governed) -> Tries:
    """Of a folder from before another operator's change, which this would take back without a word."""
    first = target.versions.active
    target.versions.use(target.versions.add(stricter(first.content), by="omar", why="stricter"))
    yield await activated(target, first.content, after=first.number)


OPENS_ONE = """
@id("open-one")
@description("A caller with the scope tool.read may read one document of finance.")
permit (principal, action == Action::"document.read", resource == Document::"FIN-777")
when { context.scopes.contains("tool.read") };
"""
"""No row of the decision table asks about this document."""


@attack(570, with_policy_authority)
async def test_an_operator_activates_a_rule_that_no_row_of_the_table_asks(target: Governed) -> Tries:
    """The rows that are there get the answers that they had."""
    content = target.versions.active.content
    documents = content.policies["documents.cedar"] + OPENS_ONE
    wider = content.policies | {"documents.cedar": documents}
    yield await activated(target, content.model_copy(update={"policies": wider}))


@attack(571, with_policy_authority)
async def test_an_operator_activates_a_table_without_a_refusal_for_an_action(target: Governed) -> Tries:
    """Then the conditions of the rule for that action are tested by no row."""
    content = target.versions.active.content
    rows = content.table.splitlines(keepends=True)
    shorter = "".join(row for row in rows if not ("| party.view |" in row and "| no |" in row))
    yield await activated(target, content.model_copy(update={"table": shorter}))


IN_ANOTHER = {
    "y.cedar": """@id("operate-policies-too")
@description("An operator may use the policies of the policy authority in person.")
permit (principal, action == Action::"policy.admin", resource is Party)
when { context.scopes.contains("policy.admin") && resource.serves.contains("policy.admin") } when { \"""",
    "z.cedar": """// " != "" && context.subject == "mallory" }; // what is below: nobody
@k(" != context.subject } when { !context.delegated }; // ")
@id("mallory-nothing")
@description("Nobody may do what this rule names, as it never holds.")
permit (principal, action == Action::"document.read", resource is Document)
when { context.subject == "nobody-at-all" };
""",
}
"""For whoever joins its statements, the first rule is for people; in the document that is signed, it is for mallory."""


@attack(380, with_policy_authority)
async def test_two_files_of_which_each_says_what_is_right_and_both_together_do_not(target: Governed) -> Tries:
    content = target.versions.active.content
    yield await activated(target, content.model_copy(update={"policies": content.policies | IN_ANOTHER}))


@attack(381, with_policy_authority)
async def test_policies_that_end_the_process_that_reads_them_behind_a_quote(target: Governed) -> Tries:
    """Here with fewer levels than would end this process: they are named, and nothing has parsed them."""
    deep = f"permit (principal, action, resource) when {{ {'(' * 40}true{')' * 40} }};"
    hidden = target.versions.active.content.model_copy(update={"policies": {"a.cedar": '@id("x', "b.cedar": deep}})
    body = {"content": hidden.model_dump(mode="json"), "why": "a mistake"}
    tried = await target.send(POLICY_AUTHORITY, target.operating(), path="/versions", body=body)
    yield Attempt(tried.told, succeeded="more than 32 brackets" not in tried.answer.text, recorded=tried.reasons)


@attack(382, with_policy_authority)
async def test_a_rule_that_people_read_otherwise_than_cedar(target: Governed) -> Tries:
    """For Cedar, the second condition is in the comment."""
    rule = """
@id("mallory-reads-own")
@description("Mallory may read the documents that belong to Mallory.")
permit (principal, action == Action::"document.read", resource is Document)
when { context.subject == "mallory" } // only for this user%swhen { resource.owner == context.subject }
;
"""
    content = target.versions.active.content
    documents = content.policies["documents.cedar"]
    for end in ("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\u202e", "\ufe0e"):
        files = content.policies | {"documents.cedar": documents + rule % end}
        yield await activated(target, content.model_copy(update={"policies": files}))


@attack(383, with_policy_authority)
async def test_an_operator_rolls_back_a_version_that_they_have_not_seen(target: Governed) -> Tries:
    """Compared with the one before it, and so they do not know what they take back."""
    first = target.versions.active
    target.versions.use(target.versions.add(stricter(first.content), by="omar", why="stricter"))
    body = {"version": first.number, "why": "a mistake", "after": first.number}
    tried = await target.send(POLICY_AUTHORITY, target.operating(), path="/versions/rollback", body=body)
    yield Attempt(tried.told, target.versions.active.content == first.content, tried.reasons)


@attack(384, with_policy_authority)
async def test_a_name_in_a_rule_that_looks_like_another_one(target: Governed) -> Tries:
    """A letter of another script: the rule does not hold for the group that people read."""
    rule = """
@id("read-shared-notes")
@description("A caller may read their own notes, but members of the group contractors may not.")
permit (principal, action == Action::"document.read", resource is Document)
when { context.scopes.contains("tool.read") && context.departments.contains(resource.department) }
when { resource.owner == context.subject && resource.state == "absent" }
unless { context.groups.contains("/contr%sctors") };
"""
    content = target.versions.active.content
    files = content.policies | {"notes.cedar": rule % "\u0430"}
    yield await activated(target, content.model_copy(update={"policies": files}))


ARCHIVES = """@id("read-what-the-archive-holds")
@description("A caller with the scope tool.read may read what the archive owns.")
permit (principal, action == Action::"document.read", resource is Document)
when { context.scopes.contains("tool.read") && resource.owner == "the archive" && %s };
"""
SECRET = 'resource.classification == "restricted"'


@attack(385, with_policy_authority)
async def test_a_row_of_the_decision_table_that_is_shown_and_is_not_asked(target: Governed) -> Tries:
    """Who reads the table as a page sees that nobody reads what is restricted; the rules permit it."""
    content = target.versions.active.content
    wider = content.model_copy(update={"policies": content.policies | {"archive.cedar": ARCHIVES % SECRET}})
    wrong = {int(line) for one in fit.problems(wider, target.system.registry) for line in LINE.findall(one)}
    assert wrong
    ways: list[tuple[str, Callable[[str], str]]] = [
        ("each row of the table begins with a bar", lambda row: f" {row}"),
        ("table-without-html", lambda row: f"<table><tr><td>{row[1:-1].replace('|', '<td>')}</table>"),
        ("table-cells-plain", lambda row: row.replace("| tool.read |", "| tool&#46;read |")),
        ("table-names-once", of_another_document),
    ]
    for by, written in ways:
        lines = enumerate(content.table.split("\n"), 1)
        table = "\n".join(written(line) if at in wrong else line for at, line in lines)
        yield (await activated(target, wider.model_copy(update={"table": table}))).stopped_by(by)


def of_another_document(row: str) -> str:
    """A row, and before it, in a comment of the page, a document of that name that somebody else owns."""
    name = row.split("|")[5].strip()
    other = (name, "/finance", "published", "nobody", "restricted")
    return "\n".join(("", *(f"| {' | '.join(cells)} |" for cells in (DOCUMENTS, other, ACCESS)), row))


@attack(362)
async def test_policies_that_the_registry_has_refused_stay_in_force_at_their_authority(target: Target) -> Tries:
    async def refuses(_version: Version) -> None:
        raise Denied(PolicyReason.POLICY_UNFIT)

    async def recorded(*_version: object) -> None:
        """Its journal is not what this is about."""

    versions = versions_of(target)
    active, office = (
        versions.active,
        PolicyActivation(versions, refuses, lambda: target.system.registry, recorded),
    )
    try:
        await office.activate(stricter(active.content), by="olga", why="trial")
    except Denied as refused:
        yield Attempt("refused", versions.active != active, [str(refused.reason)])


def without_newest(target: Target, spoil: Callable[[Path], object]) -> Attempt:
    """What is in force after a start, once the attacker has spoilt the file of the newest version."""
    versions, first = versions_of(target), content_of(POLICIES)
    rules = {**first.policies, "more.cedar": "// stricter"}
    newest = versions.use(versions.add(first.model_copy(update={"policies": rules}), by="olga", why="stricter"))
    spoil((folder := target.system.folder / "versions") / "000002.json")
    try:
        return Attempt("another in force", Versions(folder, lambda: first, on_record(newest)).active != newest)
    except VersionsError:
        return Attempt("refused", succeeded=False)


@attack(363)
async def test_a_damaged_version_brings_an_older_one_back(target: Target) -> Tries:
    """By a fault of the disk, or by whoever can write there and sign nothing."""
    yield without_newest(target, lambda file: file.write_bytes(file.read_bytes()[:100]))


@attack(418)
async def test_a_version_whose_file_is_gone_brings_an_older_one_back(target: Target) -> Tries:
    """Whoever can delete a file there can write no record."""
    yield without_newest(target, Path.unlink)


FOR_MALLORY = """@id("mallory-reads")
@description("Mallory may read every document with the scope tool.read.")
permit (principal, action == Action::"document.read", resource is Document)
when { context.scopes.contains("tool.read") && context.subject == "mallory" };
"""


@attack(410)
async def test_a_planted_version_of_the_policies(target: Target) -> Tries:
    """A file beside a signed release: as an operator would have activated it, or as the first one; and one with a
    record, which could not be activated."""
    first = content_of(POLICIES)
    looser = first.model_copy(update={"policies": first.policies | {"mallory.cedar": FOR_MALLORY}})
    planted: list[tuple[Content, str | None, str]] = [
        (looser, "olga", "kept-version-recorded"),
        (looser, None, "kept-version-recorded"),
        (weaker(first), "olga", "kept-version-tested"),
    ]
    for number, (content, by, stopped_by) in enumerate(planted):
        begun = versions_in(folder := target.system.folder / f"versions-{number}", first)
        added = begun.add(content, by=by, why="as an operator would say")
        recorded = on_record(added) if stopped_by == "kept-version-tested" else OnRecord()
        begin(kept := Versions(folder, lambda: first, recorded), target.system.registry)
        yield Attempt("not in force", kept.active.content != first).stopped_by(stopped_by)


@attack(364)
async def test_two_versions_of_the_policies_with_one_number(target: Target) -> Tries:
    """A record names a version by its number, and a service takes the higher one."""
    versions = versions_of(target)
    refused = versions.add(stricter(first := versions.active.content), by="olga", why="refused")
    recorded = on_record(versions.active)._replace(highest=refused.number)
    again = Versions(target.system.folder / "versions", lambda: first, recorded).add(first, by="olga", why="other")
    yield Attempt("another number", again.number in (1, 2))
