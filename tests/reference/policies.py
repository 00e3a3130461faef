"""docs/reference/policies.md, from the rules, the registry and the decision table.

What a party may do there is not described but asked: each line of it is an answer of the policies.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from authorities.policy.decisions import FILE, Row, read_rows
from authorities.policy.explain import Explanations
from authorities.policy.rules import rules_of
from authorities.policy.versions import content_of
from tests.reference.may import May, of_party, of_person
from zerotrust.authority.files.snapshot_files import load_registry, policy_files
from zerotrust.decision import Resource
from zerotrust.policy import CedarPolicy
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.runtime import policy_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "policies"
HEAD = (
    "# What the policies permit\n\n"
    "This page is generated from the rules, the registry and the decision table, and a test keeps it current "
    "(`start/run tests.reference`). What an agent may do is in "
    "[its section](#what-each-party-may-do). [Why not](#why-not) explains refusals by examples; `zt policy explain` "
    "explains those of a task that has run ([zt.md](zt.md#zt-policy-explain)).\n\n"
    "Rules only permit, and what no rule permits is refused. A rule permits a call only if three things fit: the "
    "user's departments (or that the user is an operator), the rights of the agent, and the scopes of the token. The "
    "parties that acted before that agent make no difference.\n\n"
    "- A **department** is a group that [registry.yaml](../../registry.yaml) calls one. The token of an agent names "
    "one department of the user, the one that the task is about.\n"
    "- A **scope** is what a token is for: `tool.read` to read documents, `tool.write` to file and change them. Each "
    "other scope opens the API of one kind of party.\n"
    "- A **document** is a draft, or published. Its class says who may see it: a public document is for all "
    "departments once it is published, an internal one for its department, a restricted one for its owner.\n"
    "- **In person** means that the user's own client calls, with no agent in between.\n\n"
    "No agent reads a restricted document, not even for its owner. Agents file what they have read as internal drafts, "
    "and any document that they read can order them to do so. A colleague's report could have the owner's secret "
    "copied into a draft for the whole department. This stays so until a task can name a restricted document in a way "
    "that no agent can forge. As shipped, owners read none either: no client that users sign in with may call the "
    "documents tool.\n\n"
    "An agent's token for a user of two departments is refused, and with one of them it is permitted. "
    "So a party gains nothing by dropping a department: it may ask for a token of one department anyway. And a user "
    "who leaves a group is signed out.\n\n"
    "## The rules\n"
)


def page(files: Mapping[str, str], document: PolicyDocument, registry: Registry, table: Sequence[Row]) -> str:
    """Return the page.  `files`: the text of each file of policies, by name."""
    engine, explained = policy_of(document, registry), Explanations(document, registry)
    parties, reasons = _parties(files, engine, registry), _reasons(table, explained, registry)
    return "\n".join([HEAD, *_rules(files), *parties, *reasons, ""])


def _rules(files: Mapping[str, str]) -> Iterator[str]:
    for name, text in files.items():
        yield f"### [{name}](../../policies/{name})\n"
        yield "| rule | what it permits |\n|---|---|"
        yield from (f"| `{rule.id}` | {rule.sentence} |" for rule in rules_of(text))
        yield ""


def _parties(files: Mapping[str, str], engine: CedarPolicy, registry: Registry) -> Iterator[str]:
    yield "## What each party may do\n"
    yield (
        "Each line is an answer of the policies: for a user of one department, and for an operator, with all scopes "
        "that the registry lets the party hold; where a party operates by itself, for nobody. With fewer scopes a "
        "party may do less. Unless a line says otherwise, a "
        "document is internal and belongs to the user's department.\n"
    )
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
    """Yield what may be done with documents, and last with which nothing may be done."""
    grouped = dict[tuple[str, ...], list[str]]()
    for kind, actions in may.documents:
        grouped.setdefault(actions, []).append(kind)
    nothing = grouped.pop((), [])
    for actions, kinds in grouped.items():
        yield f"- It may {_and(actions)}: {'; '.join(kinds)}."
    if nothing:
        yield f"- It may do nothing with: {'; '.join(nothing)}."


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _reasons(table: Sequence[Row], explained: Explanations, registry: Registry) -> Iterator[str]:
    examples = dict[str, Row]()
    for row in table:
        if row.because and not row.allowed:
            near = explained.nearest(row.who, row.action, row.at)
            told = "; ".join(f"`{one.rule.id}`: {', '.join(one.missed)}" for one in near)
            examples.setdefault(told or "no rule is about this action", row)
    yield "## Why not\n"
    yield (
        "These questions are from [the decision table](../../policies/decisions.md), which has all questions and "
        "answers. Each of these is refused, and each for another reason. The people and the documents are examples:\n"
    )
    yield from _examples([*examples.values()])
    yield (
        "The column **through** has the parties that act for the user, in order; the last one asks: `orchestrator > "
        "agent/reader` is the reader, called by the orchestrator. The last column has the nearest rules, and the "
        "conditions of each that did not hold.\n"
    )
    yield "| user | through | with the scopes | wants | the answer is no, because | nearest |"
    yield "|---|---|---|---|---|---|"
    for told, row in examples.items():
        user, through, scopes, action, at = row.words(registry)
        yield f"| {user} | {through} | {scopes or 'none'} | `{action}`: {at} | {row.because} | {told} |"


def _examples(rows: Sequence[Row]) -> Iterator[str]:
    """Yield who the people are, and what the documents are."""
    yield "| user | groups in the token |\n|---|---|"
    people = {row.who.subject: ", ".join(sorted(row.who.groups)) or "none" for row in rows}
    yield from (f"| {name} | {groups} |" for name, groups in people.items())
    yield "\n| document | department | state | owner | class |\n|---|---|---|---|---|"
    named = [row.at for row in rows if isinstance(row.at, Resource) and row.at.kind == "Document"]
    documents = {one.name: dict(one.attributes) for one in named}
    for name, has in documents.items():
        columns = (has.get(one) or "none" for one in ("department", "state", "owner", "classification"))
        yield f"| {name} | {' | '.join(columns)} |"
    yield ""


def current() -> str:
    """Return the page of the policies, the registry and the decision table as they are in this folder."""
    registry = load_registry(ROOT / "registry.yaml")
    files = {file.name: file.read_text() for file in policy_files(FOLDER)}
    return page(files, content_of(FOLDER).document, registry, read_rows((FOLDER / FILE).read_text(), registry))
