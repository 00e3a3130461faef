"""docs/reference/gate.md: the steps of the gate in their order, each as its method in `zerotrust/checks.py` says.

The code of a step is its method and what that calls in the library, found by name.
"""

import re
from inspect import getdoc, getsourcelines, isclass, unwrap
from types import CodeType, FunctionType, ModuleType
from typing import Any

from authzen.client import AuthZEN
from lab.without import controls
from tests.attacks.table import ROWS
from zerotrust.audit.recorder import Recorder
from zerotrust.checks import ALL, STEPS, Checks, Step
from zerotrust.decision import Decision, Reason, ReasonCode
from zerotrust.dialect import Dialect
from zerotrust.issuer.client import IssuerClient
from zerotrust.issuer.discovery import Discovery
from zerotrust.issuer.introspection import Introspector
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.policy import CedarPolicy
from zerotrust.policy_in_force import NoPolicy, PolicyInForce
from zerotrust.possession import UsedProofs
from zerotrust.revocation import Revocations
from zerotrust.routing import RouteTable
from zerotrust.token_validation import TokenCache, verify_token
from zerotrust.tool.mcp_tools import McpTools

_CLASSES = [Checks, RouteTable, Dialect, McpTools, SigningKeys, Discovery, TokenCache, UsedProofs, Revocations]
_CLASSES += [Recorder, CedarPolicy, PolicyInForce, NoPolicy, AuthZEN]
_METHODS: list[tuple[str, Any]] = [
    (name, it) for kind in _CLASSES for name, it in vars(kind).items() if isinstance(it, FunctionType)
]
_METHODS += [("confirm", Introspector.__call__), ("post", IssuerClient.post), ("verifier", verify_token)]
"""What a step may call on an object, by name."""
_CAUGHT = frozenset({SigningKeys._read})
"""What refuses nobody: a reason is only noted."""
_LIBRARY = re.compile(r"authzen\.|zerotrust\.(?!limits)")
"""Modules whose code is a step's; each format has its limits, in whatever step it is read."""
_STOPPED_BY = {number: {name.partition(" (")[0] for name in row.names} for number, row in ROWS.items()}
_INTRODUCTION = """\
# The gate

`start/run tests.reference` writes this page from [checks.py](../../zerotrust/checks.py).

Each call takes these steps in this order. The first one that refuses answers. Some steps are only for routes that
require a token, a certificate, or nothing. An attack is named at each step whose code has a control that stops it;
[attacks.md](attacks.md) also has those that something else stops, such as a policy. At the end,
[gate.py](../../zerotrust/gate.py) runs the handler, for as long as token, connection and caller stay valid.

| step | routes | what it does | rule | reasons | attacks |
|---|---|---|---|---|---|"""


def told(step: Step) -> tuple[str, str]:
    """Return what a step does, and which rule it follows.  Raises `ValueError` if its docstring has other parts."""
    sentence, rule = str(getdoc(step.take)).partition("\n\n")[0].removesuffix(".").split(".  ")
    return f"{sentence}.", rule


def reasons_in(step: Step) -> set[ReasonCode]:
    """Return the reasons in the code of a step, but for that of an object, about which a handler asks."""
    found = set[ReasonCode]()
    for function in _code_of(step, _CAUGHT):
        names, used = _named_in(function)
        found |= {value.reason for value in used if isinstance(value, Decision)}
        kinds = [value for value in used if isclass(value)]
        found |= {kind[name] for kind in kinds if issubclass(kind, ReasonCode) for name in names & {*kind.__members__}}
        defaults = (getattr(kind.__init__, "__defaults__", None) or () for kind in kinds)
        found |= {one for values in defaults for one in values if isinstance(one, ReasonCode)}
    return found - {Reason.GRANTED, Reason.RESOURCE_DENIED}


def page() -> str:
    return "\n".join([_INTRODUCTION, *map(_row, STEPS), ""])


def _row(step: Step) -> str:
    routes = "all" if step.routes == ALL else ", ".join(sorted(step.routes))
    reasons = ", ".join(f"[`{reason}`](reasons.md)" for reason in sorted(step.reasons))
    own = _controls_in(step)
    attacks = ", ".join(str(number) for number, names in sorted(_STOPPED_BY.items()) if names & own)
    sentence, rule = told(step)
    return f"| `{step.id}` | {routes} | {sentence} | {rule} | {reasons} | {attacks} |"


def _controls_in(step: Step) -> set[str]:
    lines = set[tuple[str, int]]()
    for function in _code_of(step):
        source, first = getsourcelines(function)
        lines |= {(function.__code__.co_filename, first + number) for number in range(len(source))}
    return {name for name, [(file, line), *_] in controls().items() if (str(file), line) in lines}


def _code_of(step: Step, but: frozenset[Any] = frozenset()) -> set[FunctionType]:
    found, rest = set[FunctionType](), list[Any]([step.take])
    left_out = {*but, *(other.take for other in STEPS if other is not step)}
    while rest:
        one = unwrap(rest.pop())
        if isinstance(one, FunctionType) and _LIBRARY.match(one.__module__) and one not in found | left_out:
            found.add(one)
            names, used = _named_in(one)
            own = one.__qualname__.partition(".")[0]
            rest += [it for name, it in _METHODS if name in names and (name[0] != "_" or own in it.__qualname__)]
            rest += used
    return found


def _named_in(function: FunctionType) -> tuple[set[str], list[Any]]:
    """Return the names of objects' attributes in a function, and what its module knows of the other names."""
    codes = [function.__code__]
    for code in codes:
        codes += [one for one in code.co_consts if isinstance(one, CodeType)]
    names = {name for code in codes for name in code.co_names}
    known = [function.__globals__[name] for name in names & function.__globals__.keys()]
    modules = [vars(one) for one in known if isinstance(one, ModuleType)]
    known += [module[name] for module in modules for name in names & module.keys()]
    return names - function.__globals__.keys(), known
