"""Reads the journals of the parties in a test on real containers, from outside."""

import re

import httpx

from testkit.stack import Stack, StackError
from testkit.users import file_of
from zerotrust.audit.record import event_of

DATA = "ZT_DATA"
"""The variable of a party that names the folder of its journal."""


def refusal_reasons(stack: Stack, answer: httpx.Response | str) -> dict[str, list[str]]:
    """Return the reasons of the refusals that are on record in an answer's trace, by the party that refused.

    `answer` is any answer that names its trace, or a trace id.  Refusals of an unverified caller are only counted
    (docs/reference/reasons.md): then there is no reason.  Raises `StackError`.
    """
    text = answer if isinstance(answer, str) else answer.text
    if not (named := re.search(r'(?:^|"trace_id": ?")([0-9a-f]{32})(?:"|$)', text)):
        raise StackError(f"the answer names no trace: {text[:200]}")
    names = {stack.registry.id(name): name for name in stack.registry.parties}
    found: dict[str, list[str]] = {}
    for service, container in stack.containers().items():
        variables = dict(line.split("=", 1) for line in container.attrs["Config"]["Env"])
        if DATA not in variables:
            continue
        # A party that nobody has called yet has an empty journal.
        journal = file_of(stack, service, f"{variables[DATA]}/journal.jsonl", may_be_empty=True)
        *lines, _unfinished = journal.split(b"\n")
        for event in (event_of(line) for line in lines if named[1].encode() in line):
            decision = getattr(event.data, "decision", None)
            if decision and not decision.allowed and event.trace and event.trace.trace_id == named[1]:
                found.setdefault(names[event.service], []).append(str(decision.reason))
    return found
