"""Writes docs/policies.md from the rules, the registry and the decision table: `scripts/run authorities.policy.page`.

What a party may do there is not described but asked: each line of it is an answer of the policies.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from authorities.policy.decisions import FILE, Row, rows
from authorities.policy.explain import Explanations
from authorities.policy.may import May, of_party, of_person
from authorities.policy.rules import rules_of
from zerotrust.policy import CedarPolicy
from zerotrust.registry.files import load_policy, policy_files
from zerotrust.registry.model import Registry, load_registry
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
    for name in registry.parties:
        may = of_party(name, engine, rules, registry)
        if may.uses:
            yield f"### {name}\n"
            yield f"- It may use: {', '.join(f'`{scope}` at {callee}' for scope, callee in may.uses)}."
            yield from _documents(may)
            yield ""
    yield "### A user in person\n"
    yield "The registry lets no client of a user call the documents tool. The rules would permit such a client this:\n"
    yield from _documents(of_person(engine, rules, registry))
    yield ""


def _documents(may: May) -> Iterator[str]:
    yield from (f"- With {kind}: {', '.join(actions) or 'nothing'}." for kind, actions in may.documents)


def _reasons(table: Sequence[Row], explained: Explanations, registry: Registry) -> Iterator[str]:
    yield "## Why not\n"
    yield "From [the decision table](../policies/decisions.md), which has all questions and answers.\n"
    yield "The last column has the rules that came nearest, and what each of them missed.\n"
    yield "| user | through | wants | the answer is no, because | nearest |\n|---|---|---|---|---|"
    for row in table:
        if row.because and not row.allowed:
            user, through, _, action, at = row.words(registry)
            near = [
                f"`{one.rule.id}`: {', '.join(one.missed)}" for one in explained.nearest(row.who, row.action, row.at)
            ]
            told = "; ".join(near) or "no rule is about this action"
            yield f"| {user} | {through} | `{action}`: {at} | {row.because} | {told} |"


def main() -> None:
    """Print the page."""
    registry = load_registry(ROOT / "registry.yaml")
    files = {file.name: file.read_text() for file in policy_files(FOLDER)}
    table = rows((FOLDER / FILE).read_text(), registry)
    print(page(files, load_policy(FOLDER), registry, table), end="")


if __name__ == "__main__":
    main()
