"""`zt audit show`, without a service: what each record says, where tokens are placed, and who is named as an author."""

import io
import re
from dataclasses import replace
from typing import Any, get_args

import pytest
from rich.console import Console

from tests.reference.events import EXAMPLES
from tests.support.records import CALLER
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_parts import Caller, Decided, Peer, Policy, Trace
from zerotrust.audit.event_types import (
    Alarm,
    AlarmCause,
    Counts,
    Data,
    Exchange,
    Outcome,
    RegistryChange,
    Request,
)
from zerotrust.audit.forms import sanitize
from zerotrust.identity import MAX_ACTORS
from zt.audit.diagram import diagram
from zt.audit.trail import describe, group_by_transaction, is_shown, trail, users
from zt.terminal import Terminal

GRANTED = Decided(allowed=True, reason="granted", policy=Policy(version="3-a"))
DIGEST = "2c543d914da3" + "0" * 52
REGISTRY, FRONT, READER, WRITER, TOOL = (
    f"spiffe://agents.example/{name}"
    for name in ("authority/registry", "orchestrator", "agent/reader", "agent/writer", "tool/documents")
)
CALLS = {"orchestrator": ("agent/reader", "agent/writer"), "agent/reader": ("tool/documents",)}
T0 = replace(CALLER, token_id="t0", transaction="t0")
T1 = replace(T0, party=FRONT, actors=(FRONT,), audience=READER, token_id="t1", lineage=("t0",))
T2 = replace(T1, party=READER, actors=(READER, FRONT), audience=TOOL, token_id="t2", lineage=("t0", "t1"))


def event(data: Data, *, by: str = REGISTRY, time: int = 1, span: str = "1") -> AuditEvent:
    trace = Trace(trace_id="0" * 32, span_id=span * 16)
    return AuditEvent(schema=1, time=time, service=by, data=data, trace=trace if span else None)


def said(token: Caller, *, by: str = "", what: str = "asks", time: int = 9, version: str = "3-a") -> AuditEvent:
    decision = replace(GRANTED, policy=Policy(version=version))
    request = Request(operation=sanitize(what), decision=decision, principal=token)
    return event(request, by=by or token.audience, time=time)


def shown(*events: AuditEvent, **more: Any) -> str:
    file = io.StringIO()
    Terminal(file=file, width=200, color_system=None).print(trail(events, calls=CALLS, details=True, **more))
    return file.getvalue()


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

# what a record says


@pytest.mark.parametrize("kind", get_args(Data), ids=lambda kind: str(kind.__name__))
def test_a_record_of_any_kind_alone_is_no_empty_block(kind: Any) -> None:
    [example, *_] = [one for one in EXAMPLES if isinstance(one.data, kind)]

    *_, last = shown(example).splitlines()
    assert "└── " in last
    assert describe(example) in last or not is_shown(example.data)
    assert diagram("one record", [example])


def test_a_change_names_the_operator_or_the_party_that_reported_it() -> None:
    told: dict[str, Any] = {"action": "drift", "target": sanitize("agent/writer"), "cause": sanitize("planted.py")}
    drift = event(RegistryChange(**told, peer=Peer(id="spiffe://agents.example/authority/attestation")))
    assert shown(drift).splitlines() == [
        "no transaction",
        "└── drift agent/writer: planted.py (by authority/attestation)  (recorded by authority/registry)",
    ]
    operator = event(RegistryChange(**told, principal=T0), by=FRONT)
    request = said(T0, what="POST /parties", time=0)
    assert re.findall(r" ([gd]r.*)", shown(request, operator)) == [
        "granted  POST /parties",
        f"drift agent/writer: planted.py (by {T0.subject})",
    ]


@pytest.mark.parametrize(
    "text", ["[/x]", "[conceal]hidden[/conceal]", "[link=https://evil.example]3-abc[/link]", ":skull:"]
)
def test_text_of_a_record_is_no_markup_wherever_the_tree_is_printed(text: str) -> None:
    caller = replace(T0, transaction=text, token_id=text)
    change = RegistryChange(action="revoke", target=sanitize(text), cause=sanitize(text))
    file = io.StringIO()

    Console(file=file, width=200, color_system=None).print(
        trail([said(caller, what=text, version=text), event(change)], dated=True)
    )

    assert f"transaction {text}, policy {text}\n" in file.getvalue()
    assert f"granted  {text}\n" in file.getvalue()
    assert f"revoke {text}: {text}" in file.getvalue()


@pytest.mark.parametrize("cause", ["explained", "unexplained"])
def test_an_alarm_of_anybody_but_the_audit_authority_is_not_believed(cause: AlarmCause) -> None:
    alarm = event(Alarm(cause=cause, party=REGISTRY, token_id="t1", at=1), span="")

    for ledger in "spiffe://agents.example/authority/audit", "":
        line: Any = trail([alarm], ledger=ledger).children[0].label
        assert line.plain.startswith(f"{describe(alarm)}, which the audit authority here did not raise")
        assert "(recorded by authority/registry)" in line.plain
        assert line.style == "red"
    line = trail([alarm], ledger=REGISTRY).children[0].label
    assert (line.plain.partition("  ")[0], line.style) == (describe(alarm), "green" if cause == "explained" else "red")


def test_without_a_trace_each_change_has_a_block_and_counts_have_one() -> None:
    change = RegistryChange(action="revoke", target=sanitize("session 5f2c"), cause=sanitize("keycloak: LOGOUT"))
    data: list[Data] = [change, Counts(), change, Counts()]
    events = [event(one, time=time, span="") for time, one in enumerate(data)]

    assert [[one.time for one in group] for group in group_by_transaction(events)] == [[0], [1, 3], [2]]


def test_an_allowed_exchange_and_an_outcome_are_no_lines_of_their_own() -> None:
    ended = Outcome(ended="complete", duration=1, request_sha256=DIGEST, answer_sha256=DIGEST)
    exchange = Exchange(
        audience="a", scopes=(), decision=GRANTED, principal=T0, parent_token_id=T0.token_id, token_id="t"
    )
    assert shown(event(exchange, by=FRONT), event(ended, by=FRONT), *HONEST) == TREE


# where tokens are placed, while a compromised party says something else of them


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


def test_a_heading_names_what_each_audience_says_and_not_only_the_first() -> None:
    other = said(replace(T0, audience=WRITER, transaction="x", token_id="x"), time=1, version="9-z")
    assert shown(other, *HONEST).startswith("transaction x, t0, policy 9-z, 3-a\n")
    assert shown(said(replace(T2, transaction="x"), by=WRITER, time=1), *HONEST).startswith("transaction t0, policy")
    many = [said(replace(T0, audience=WRITER, transaction=f"x{one}"), time=1, version="3-a") for one in range(9)]
    assert shown(*many).startswith("transaction x0, x1, x2 and 6 more, policy 3-a\n")


def test_another_user_of_a_task_is_named_with_who_says_so() -> None:
    alice = replace(T0, subject="alice", groups=())
    honest = [said(alice), said(alice, by=READER)]
    assert users(honest) == ["for user alice"]
    assert users([*honest, said(replace(alice, subject="mallory"), by=WRITER)]) == [
        "for user alice, by the records of orchestrator, agent/reader",
        "for user mallory, by the records of agent/writer",
    ]
    told = users([*(said(replace(alice, subject=f"u{number}"), by=WRITER) for number in range(2_000)), *honest])
    assert (len(told), told[-1]) == (4, "and for 1,998 more users")
    assert told[0].startswith("for user alice, by")


def test_the_span_of_another_party_moves_no_record_into_another_transaction() -> None:
    ended = Outcome(ended="complete", duration=1, request_sha256="0" * 64, answer_sha256="0" * 64)
    outcome = event(ended, by=FRONT, time=11)
    lie = said(replace(T0, audience=READER, transaction="x"), time=10)

    assert group_by_transaction([HONEST[0], lie, outcome]) == [[HONEST[0], outcome], [lie]]
