"""Where `zt audit show` places tokens, and how it names them, while a compromised party says something else of them."""

import io
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.support.records import CALLER
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided, Policy, Trace
from zerotrust.audit.event_types import Outcome, Request
from zerotrust.audit.forms import sanitize
from zerotrust.identity import MAX_ACTORS
from zt.branches import naming
from zt.terminal import Terminal
from zt.trail import by_transaction, trail

FRONT, READER, WRITER, TOOL = (
    f"spiffe://agents.example/{name}" for name in ("orchestrator", "agent/reader", "agent/writer", "tool/documents")
)
CALLS = {"orchestrator": ("agent/reader", "agent/writer"), "agent/reader": ("tool/documents",)}
T0 = replace(CALLER, token_id="t0", transaction="t0")
T1 = replace(T0, party=FRONT, actors=(FRONT,), audience=READER, token_id="t1", lineage=("t0",))
T2 = replace(T1, party=READER, actors=(READER, FRONT), audience=TOOL, token_id="t2", lineage=("t0", "t1"))


def said(token: Caller, *, by: str = "", what: str = "asks", time: int = 9, version: str = "3-a") -> AuditEvent:
    decision = Decided(allowed=True, reason="granted", policy=Policy(version=version))
    request = Request(operation=sanitize(what), decision=decision, principal=token)
    trace = Trace(trace_id="0" * 32, span_id="1" * 16)
    return AuditEvent(schema=1, time=time, service=by or token.audience, data=request, trace=trace)


HONEST = [said(token, what=f"asks {token.token_id}", time=10 + number) for number, token in enumerate((T0, T1, T2))]
TREE = """\
transaction t0, policy 3-a
└── T0 walkthrough → orchestrator
    ├── granted  asks t0
    └── T1 orchestrator → agent/reader
        ├── granted  asks t1
        └── T2 agent/reader → tool/documents
            └── granted  asks t2
"""


def shown(*events: AuditEvent) -> str:
    file = io.StringIO()
    Terminal(file=file, width=100, color_system=None).print(trail(events, name=naming(CALLS, events)))
    return file.getvalue()


def branches(tree: str, what: str) -> list[str]:
    """The labels above the line that says so, from the root on."""
    found, lines = list[str](), tree.splitlines()
    at = next(number for number, line in enumerate(lines) if what in line)
    depth = len(lines[at]) - len(lines[at].lstrip("│├└─ "))
    for line in reversed(lines[1:at]):
        if len(line) - len(label := line.lstrip("│├└─ ")) < depth:
            depth = len(line) - len(label)
            found.append(label)
    return found[::-1]


def test_each_token_stands_below_the_one_that_it_came_from_whatever_the_times_are() -> None:
    assert shown(*HONEST) == TREE
    early = replace(HONEST[2], time=1)
    assert branches(shown(*HONEST[:2], early), "asks t2") == branches(TREE, "asks t2")


@pytest.mark.parametrize(
    "lie",
    [
        {"party": WRITER},
        {"audience": WRITER},
        {"lineage": ("t1", "t0")},
        {"lineage": ()},
        {"actors": (READER, WRITER)},
        {"client": "another"},
    ],
    ids=str,
)
def test_who_says_something_else_of_a_token_has_a_branch_of_its_own(lie: dict[str, Any]) -> None:
    """It says so first: at time 1."""
    by = READER if "audience" in lie else WRITER
    tree = shown(said(replace(T2, **lie), by=by, time=1, what="lies"), *HONEST)

    for token in ("t0", "t1", "t2"):
        assert branches(tree, f"asks {token}") == branches(TREE, f"asks {token}")
    assert re.findall("lies.*", tree) == [f"lies  (recorded by {by.removeprefix('spiffe://agents.example/')})"]


def test_who_says_the_same_of_a_token_is_named_beside_it() -> None:
    assert shown(said(T2, by=READER, time=20, what="lies"), *HONEST) == TREE.replace(
        "└── granted  asks t2\n",
        "├── granted  asks t2\n            └── granted  lies  (recorded by agent/reader)\n",
    )


def test_no_tree_is_deeper_than_a_chain_of_tokens_may_be() -> None:
    def chain(count: int) -> list[AuditEvent]:
        names = tuple(f"k{number}" for number in range(count))
        return [
            said(replace(T1, party=READER, actors=(READER,) * number, token_id=names[number], lineage=names[:number]))
            for number in range(count)
        ]

    def depth(*events: AuditEvent) -> int:
        return max(line.find("T") for line in shown(*events).splitlines()[1:]) // 4

    first = said(replace(T0, token_id="k0", audience=READER))
    assert depth(first, *chain(MAX_ACTORS + 1)[1:]) == MAX_ACTORS + 1
    assert depth(first, *chain(60)[1:]) == MAX_ACTORS + 1
    loose = [said(replace(T1, token_id=f"k{one}", lineage=("t0", f"k{one - 1}"))) for one in range(1, 60)]
    assert depth(*HONEST, *loose) == depth(*HONEST)


def test_what_others_say_of_tokens_changes_no_name() -> None:
    lies = [
        said(replace(T2, actors=(WRITER,)), by=WRITER, time=1),
        said(replace(T2, token_id="t9"), by=WRITER, time=2),
    ]
    name = naming(CALLS, [*lies, *HONEST])

    assert [name(token) for token in (T0, T1, T2)] == ["T0", "T1", "T2"]


def test_a_heading_names_what_each_audience_says_and_not_only_the_first() -> None:
    other = said(replace(T0, audience=WRITER, transaction="x", token_id="x"), time=1, version="9-z")
    assert shown(other, *HONEST).startswith("transaction x, t0, policy 9-z, 3-a\n")
    assert shown(said(replace(T2, transaction="x"), by=WRITER, time=1), *HONEST).startswith("transaction t0, policy")
    many = [said(replace(T0, audience=WRITER, transaction=f"x{one}"), time=1, version="3-a") for one in range(9)]
    assert shown(*many).startswith("transaction x0, x1, x2 and 6 more, policy 3-a\n")


def test_the_span_of_another_party_moves_no_record_into_another_transaction() -> None:
    ended = Outcome(ended="complete", duration=1, request_sha256="0" * 64, answer_sha256="0" * 64)
    outcome = AuditEvent(schema=1, time=11, service=FRONT, data=ended, trace=HONEST[0].trace)
    lie = said(replace(T0, audience=READER, transaction="x"), time=10)

    assert by_transaction([HONEST[0], lie, outcome]) == [[HONEST[0], outcome], [lie]]
