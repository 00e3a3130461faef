"""The result of one check.  Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    """Nothing fails because of it, but it is worth knowing."""
    SKIPPED = "-"
    """Not checked; the text says why."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was checked, how it ended, and if it is wrong, how to repair it."""

    about: str
    state: State
    said: str
    repair: str = ""


def ok(about: str, said: str) -> Verdict:
    """All is well."""
    return Verdict(about, State.OK, said)


def note(about: str, said: str, repair: str = "") -> Verdict:
    """Worth knowing."""
    return Verdict(about, State.NOTE, said, repair)


def skipped(about: str, why: str) -> Verdict:
    """Not checked."""
    return Verdict(about, State.SKIPPED, f"not checked: {why}")


def wrong(about: str, said: str, repair: str) -> Verdict:
    """A cause, if nothing before it is wrong."""
    return Verdict(about, State.WRONG, said, repair)


def cause(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the first verdict that is wrong, because checks are in the order in which one explains the next."""
    return next((verdict for verdict in verdicts if verdict.state is State.WRONG), None)
