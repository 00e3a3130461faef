"""Lists all revocations by subject.  A change costs the same however many there are.  Pure."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Literal

Kind = Literal["party", "user", "session", "token", "before"]
Revocable = tuple[Kind, str]
"""A target of a revocation: a party, a user, a session, a token and all derived from it, or all tokens issued before
a time.  That time is in seconds since the epoch.  A user's id may follow it, and then a party.  Then only that
user's tokens are revoked, and only those in whose chain that party takes part."""
Whose = tuple[str, ...]
"""The owners of the tokens that a time revokes: all users, a user's, or a user's with a party in the chain."""

LONGEST_LIFE = 300
"""The longest lifetime of a token in seconds (`registry.yaml` cannot set more); derived tokens end with it."""
TOKEN_KEPT = 2 * LONGEST_LIFE
"""Seconds for which a revoked token is remembered: its lifetime, and as long again for clock differences and late
events."""
SESSION_LIFE = 3600
"""Seconds from sign-in to the end of a session at the realm, also of an active one."""
SIGN_IN_LIFE = 900
"""Seconds for which one sign-in of an operator serves commands of `zt`."""
SESSION_KEPT = SESSION_LIFE + 3 * LONGEST_LIFE
"""Seconds for which a revoked session is remembered: its tokens outlive it."""
RETENTION: dict[Kind, int] = {"session": SESSION_KEPT, "token": TOKEN_KEPT}
MOST_FORGOTTEN = 100
"""Expired entries that one change removes.  A change adds one entry, so this is enough, and none removes thousands."""


class RevocationList:
    """Revoked subjects, each with its cause and time; of subjects of kind `before`, only the latest for each scope."""

    def __init__(self) -> None:
        self.causes: dict[Revocable, str] = {}
        self.since: dict[Revocable, float] = {}
        self._passing: dict[int, OrderedDict[Revocable, None]] = {life: OrderedDict() for life in RETENTION.values()}
        self._until: dict[Whose, tuple[int, Revocable]] = {}

    def add(self, subject: Revocable, cause: str, at: float) -> None:
        """Revoke, from `at` on.  Raises `ValueError` for a malformed time."""
        if subject[0] == "before":
            if self.covers(subject):
                return
            until, whose = time_of(subject)
            if known := self._until.get(whose):
                self.remove(known[1])
            self._until[whose] = until, subject
        self.causes[subject], self.since[subject] = cause, at
        if life := lasts(subject):
            self._passing[life][subject] = None
            self._passing[life].move_to_end(subject)

    def remove(self, subject: Revocable) -> None:
        """Reinstate a subject, or remove an expired one."""
        if self.causes.pop(subject, None) is None:
            return
        del self.since[subject]
        if life := lasts(subject):
            del self._passing[life][subject]
        if subject[0] == "before":
            del self._until[time_of(subject)[1]]

    @property
    def lasting(self) -> dict[Revocable, str]:
        """The entries that do not expire: two lists of one number drop the others at different times."""
        return {subject: cause for subject, cause in self.causes.items() if not lasts(subject)}

    def covers(self, subject: Revocable) -> bool:
        """Return whether the list has a later time for the same tokens."""
        until, whose = time_of(subject)
        return whose in self._until and self._until[whose][0] > until

    def replaced_by(self, subject: Revocable) -> Revocable | None:
        """Return the listed time for the same tokens, if `subject` is a time."""
        return self._until.get(time_of(subject)[1], (0, None))[1] if subject[0] == "before" else None

    def expired_entries(self, now: float, most: int = MOST_FORGOTTEN) -> list[Revocable]:
        """Return at most `most` expired entries, the oldest first."""
        old = (
            takewhile(lambda subject, life=life: self.since[subject] < now - life, line)  # type: ignore[misc]
            for life, line in self._passing.items()
        )
        return list(islice((subject for line in old for subject in line), most))

    def times(self, user: str, parties: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        """Yield the times before which tokens of this user with these parties are revoked, each with its cause."""
        if not self._until:
            return
        for whose in ((), (user,), *((user, party) for party in parties)):
            if found := self._until.get(whose):
                yield found[0], self.causes[found[1]]


def time_of(subject: Revocable) -> tuple[int, Whose]:
    """Return the time of a subject of kind `before`, and whose tokens it revokes.  Raises `ValueError`."""
    until, *whose = subject[1].split(" ")
    if len(whose) > 2:
        raise ValueError(f"{subject[1]!r} is for more than a user and a party")
    return int(until), tuple(whose)


def lasts(subject: Revocable) -> int | None:
    """Return the seconds for which this is kept; None if only a reinstatement or a later time ends it."""
    kind, name = subject
    return RETENTION["token"] if kind == "before" and " " in name else RETENTION.get(kind)
