"""docs/reference/gate.md: the steps of the gate in their order, each as its function in `zerotrust/checks.py` says."""

from collections.abc import Iterator
from inspect import getdoc

from tests.attacks.table import ROWS
from zerotrust.checks import ALL, STEPS, Step

_INTRODUCTION = """\
# The gate

`start/run tests.reference` writes this page from [checks.py](../../zerotrust/checks.py).

Each call takes these steps in this order. The first one that refuses answers. Some steps are only for routes that
require a token, a certificate, or nothing. An attack is named at each step that refuses for its reason. At the end,
[gate.py](../../zerotrust/gate.py) runs the handler, for as long as token, connection and caller stay valid.

| step | routes | what it does | rule | reasons | attacks |
|---|---|---|---|---|---|"""


def told(step: Step) -> tuple[str, str]:
    """Return what a step does, and which rule it follows.  Raises `ValueError` if its docstring has other parts."""
    sentence, rule = str(getdoc(step.take)).partition("\n\n")[0].removesuffix(".").split(".  ")
    return f"{sentence}.", rule


def page() -> str:
    """Return docs/reference/gate.md."""
    return "\n".join([_INTRODUCTION, *_rows(), ""])


def _rows() -> Iterator[str]:
    for step in STEPS:
        routes = "all" if step.routes == ALL else ", ".join(sorted(step.routes))
        reasons = ", ".join(f"[`{reason}`](reasons.md)" for reason in sorted(step.reasons))
        attacks = ", ".join(str(number) for number in sorted(ROWS) if ROWS[number].reason in step.reasons)
        sentence, rule = told(step)
        yield f"| `{step.take.__name__}` | {routes} | {sentence} | {rule} | {reasons} | {attacks} |"
