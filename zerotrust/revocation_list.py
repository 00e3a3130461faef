"""Everything that is revoked, by subject.  A change costs the same however much there is.  Pure."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Literal

Kind = Literal["party", "user", "session", "token", "before"]
Revocable = tuple[Kind, str]
"""What can be revoked: a party, a user, a session, a token with all that was derived from it, or all tokens that were
issued before a time.  That time is in seconds since the epoch; a user's id may follow it, and after that a party: then
it is that user's tokens alone, and of those the ones which that party was given or acted with."""
Whose = tuple[str, ...]
"""Whom a time is for: everybody, a user, or a user and a party."""

LONGEST_LIFE = 300
"""Seconds that a token may live at most (`registry.yaml` cannot say more); what is derived from it ends with it."""
TOKEN_KEPT = 2 * LONGEST_LIFE
"""Seconds for which a revoked token is remembered: its own life, and as long again for clocks that differ and for
news that is late."""
SESSION_LIFE = 3600
"""Seconds from sign-in to the end of a session at the realm, however busy it is."""
SESSION_KEPT = SESSION_LIFE + 3 * LONGEST_LIFE
"""Seconds for which a revoked session is remembered: tokens live on after its end."""
RETENTION: dict[Kind, int] = {"session": SESSION_KEPT, "token": TOKEN_KEPT}
MOST_FORGOTTEN = 100
"""Entries that are forgotten with one change.  It adds one, so this is enough, and no change waits for thousands."""


class RevocationList:
    """Subjects with their causes, and since when; of times, for everybody whom one is for, the latest alone."""

    def __init__(self) -> None:
        self.causes: dict[Revocable, str] = {}
        self.since: dict[Revocable, float] = {}
        self._passing: dict[int, OrderedDict[Revocable, None]] = {life: OrderedDict() for life in RETENTION.values()}
        self._until: dict[Whose, tuple[int, Revocable]] = {}

    def add(self, subject: Revocable, cause: str, at: float) -> None:
        """Revoke, from `at` on.  Raises `ValueError` for a time that is none."""
        if subject[0] == "before":
            if self.covered(subject):
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
        """Reinstate, or forget."""
        if self.causes.pop(subject, None) is None:
            return
        del self.since[subject]
        if life := lasts(subject):
            del self._passing[life][subject]
        if subject[0] == "before":
            del self._until[time_of(subject)[1]]

    def covered(self, subject: Revocable) -> bool:
        """Whether a later time than this one is known for the same tokens."""
        until, whose = time_of(subject)
        return whose in self._until and self._until[whose][0] > until

    def replaced_by(self, subject: Revocable) -> Revocable | None:
        """The time that is for the same tokens as this one, if this is a time."""
        return self._until.get(time_of(subject)[1], (0, None))[1] if subject[0] == "before" else None

    def passed(self, now: float, most: int = MOST_FORGOTTEN) -> list[Revocable]:
        """What may be forgotten by now, the oldest first, and no more than `most` of it."""
        old = (
            takewhile(lambda subject, life=life: self.since[subject] < now - life, line)  # type: ignore[misc]
            for life, line in self._passing.items()
        )
        return list(islice((subject for line in old for subject in line), most))

    def times(self, user: str, parties: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        """Until when tokens of this user are revoked in which these parties take part, each time with its cause."""
        if not self._until:
            return
        for whose in ((), (user,), *((user, party) for party in parties)):
            if found := self._until.get(whose):
                yield found[0], self.causes[found[1]]


def time_of(subject: Revocable) -> tuple[int, Whose]:
    """The time that a subject of kind `before` names, and whom it is for.  Raises `ValueError` where it names none."""
    until, *whose = subject[1].split(" ")
    if len(whose) > 2:
        raise ValueError(f"{subject[1]!r} is for more than a user and a party")
    return int(until), tuple(whose)


def lasts(subject: Revocable) -> int | None:
    """Seconds for which this is remembered; None for what stays until it is reinstated, or replaced by a later time."""
    kind, name = subject
    return RETENTION["token"] if kind == "before" and " " in name else RETENTION.get(kind)
