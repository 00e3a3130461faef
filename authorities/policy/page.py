"""Writes docs/policies.md from the rules, the registry and the decision table: `scripts/run authorities.policy.page`.

What a party may do there is not described but asked: each line of it is an answer of the policies.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from authorities.policy.callers import caller, calls
from authorities.policy.decisions import FILE, Row, rows
from authorities.policy.explain import Explanations
from authorities.policy.rules import Rule, rules_of
from zerotrust.decision import Resource
from zerotrust.identity import Principal
from zerotrust.policy import CedarPolicy
from zerotrust.registry.files import load_policy, policy_files
from zerotrust.registry.model import OPERATORS, Registry, load_registry
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.runtime import policy_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "policies"
PAGE = ROOT / "docs" / "policies.md"
HEAD = (
    "# What the policies permit\n\n"
    "This page is made from the rules, the registry and the decision table, and a test keeps it current "
    "(`scripts/run authorities.policy.page > docs/policies.md`).\n\n"
    "A rule permits when all of its sentence holds. There are no rules that forbid: what no rule permits is refused. "
    "So somebody may do what all four allow: the user's departments, the rights of the agent that acts for the user, "
    "the scopes of the token, and a rule. Who acted before that agent makes no difference.\n\n"
    "## The rules\n"
)
DOCUMENTS = {
    "a draft of the user's own": ("draft", "the user", 0, "internal"),
    "a colleague's draft": ("draft", "a colleague", 0, "internal"),
    "what the user's department has published": ("published", "a colleague", 0, "internal"),
    "what is restricted in it, and belongs to the user": ("published", "the user", 0, "restricted"),
    "what is restricted in it, and belongs to a colleague": ("published", "a colleague", 0, "restricted"),
    "a draft in another department, also the user's own": ("draft", "the user", 1, "internal"),
    "what another department has published": ("published", "a colleague", 1, "internal"),
    "what another department has published and made public": ("published", "a colleague", 1, "public"),
}
"""Kinds of documents: state, owner, the place of the department in the registry (the user's is the first), class."""


def page(files: Mapping[str, str], document: PolicyDocument, registry: Registry, table: Sequence[Row]) -> str:
    """Return the page.  `files`: the text of each file of policies, by name."""
    engine, explained = policy_of(document, registry), Explanations(document, registry)
    parties, reasons = _parties(files, engine, registry), _reasons(table, explained, registry)
    return "\n".join([HEAD, *_rules(files), *parties, *reasons, ""])


def _rules(files: Mapping[str, str]) -> Iterator[str]:
    for name, text in files.items():
        yield f"### [{name}](../policies/{name})\n"
        yield "| rule | what it permits |\n|---|---|"
        yield from (f"| `{rule.id}` | {rule.sentence} |" for rule in rules_of(text))
        yield ""


def _parties(files: Mapping[str, str], engine: CedarPolicy, registry: Registry) -> Iterator[str]:
    yield "## What each party may do\n"
    yield "For a user of one department or an operator, with all scopes that the registry lets the party hold:\n"
    rules = [rule for text in files.values() for rule in rules_of(text)]
    called = defaultdict[str, list[str]](list)
    for name, scope, callee in calls(registry):
        if any(engine.decide(who, scope, registry.id(callee)) for who in _callers(name, registry)):
            called[name].append(f"`{scope}` at {callee}")
    on_documents, servers = _of_documents(rules, registry)
    for name, using in called.items():
        yield f"### {name}\n"
        yield f"- It may use: {', '.join(using)}."
        if servers & {*registry.parties[name].may_call}:
            yield from _access(engine, registry, _callers(name, registry)[0], on_documents)
        yield ""
    yield "### A user in person\n"
    yield "The registry lets no client of a user call the documents tool. The rules would permit such a client this:\n"
    scopes = {scope for rule in rules for scope in rule.scopes}
    person = caller("", subject="the user", scopes=scopes, groups={registry.departments[0]})
    yield from _access(engine, registry, person, on_documents)
    yield ""


def _callers(name: str, registry: Registry) -> list[Principal]:
    """Return whom a party can present: a user of the first department, and an operator."""
    party, scopes = registry.id(name), registry.parties[name].delegates
    actors = () if party in registry.initiating_clients else (party,)
    groups = ({registry.departments[0]}, {OPERATORS})
    return [caller(party, subject="the user", actors=actors, scopes=scopes, groups=group) for group in groups]


def _of_documents(rules: Iterable[Rule], registry: Registry) -> tuple[list[str], set[str]]:
    """Return the actions on documents, and the parties that serve the scopes for them."""
    found = [rule for rule in rules if any(action.startswith("document.") for action in rule.actions)]
    servers = {server for rule in found for scope in rule.scopes for server in registry.scopes[scope].served_by}
    return sorted({action for rule in found for action in rule.actions}), servers


def _access(engine: CedarPolicy, registry: Registry, who: Principal, actions: Sequence[str]) -> Iterator[str]:
    for name, (state, owner, department, classification) in DOCUMENTS.items():
        known = {"department": registry.departments[department], "state": state, "owner": owner}
        document = Resource("Document", "a document", (*known.items(), ("classification", classification)))
        found = [action.removeprefix("document.") for action in actions if engine.decide_on(who, action, document)]
        yield f"- With {name}: {', '.join(found) or 'nothing'}."


def _reasons(table: Sequence[Row], explained: Explanations, registry: Registry) -> Iterator[str]:
    yield "## Why not\n"
    yield "From [the decision table](../policies/decisions.md), which has all questions and answers.\n"
    yield "The last column has the rules that came nearest, and what each of them missed.\n"
    yield "| user | through | wants | the answer is no, because | nearest |\n|---|---|---|---|---|"
    names = {registry.id(name): name for name in registry.parties}
    for row in table:
        if row.because and not row.allowed:
            chain = " > ".join(names.get(actor, actor) for actor in reversed(row.who.actors))
            at = row.at.name if isinstance(row.at, Resource) else names.get(row.at, row.at)
            through = chain or names.get(row.who.party, row.who.party)
            near = [
                f"`{one.rule.id}`: {', '.join(one.missed)}" for one in explained.nearest(row.who, row.action, row.at)
            ]
            told = "; ".join(near) or "no rule is about this action"
            yield f"| {row.who.subject} | {through} | `{row.action}`: {at} | {row.because} | {told} |"


def main() -> None:
    """Print the page."""
    registry = load_registry(ROOT / "registry.yaml")
    files = {file.name: file.read_text() for file in policy_files(FOLDER)}
    table = rows((FOLDER / FILE).read_text(), registry)
    print(page(files, load_policy(FOLDER), registry, table), end="")


if __name__ == "__main__":
    main()
