"""What has been withdrawn, and how fresh that knowledge is.  Pure, in memory, asked on every call.

It fails closed by its shape: it says yes only where it has heard everything up to a moment that is recent enough.
A gap, or silence, and nobody gets a yes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from zerotrust.identity import Principal
from zerotrust.policy import Decision, Reason

Kind = Literal["party", "user", "session", "token", "before"]
Subject = tuple[Kind, str]
"""What can be withdrawn: a party, a user, a session, a token with all that was derived from it, or all tokens that were
issued before a time (in seconds since the epoch)."""
Lost = Callable[[Decision], None]
"""Called once with why somebody has lost their standing."""

PASSING = ("session", "token")
KEPT = 3600 + 900
"""Seconds for which a withdrawn session or token is remembered: for as long as the realm may go on with a session, and
three times the longest life of any token of theirs."""

_GOOD = Decision(allowed=True, reason=Reason.GRANTED)
_UNKNOWN = Decision(allowed=False, reason=Reason.STANDING_UNKNOWN, detail="no recent word from the registry")


class Gap(Exception):
    """A change was missed; nothing is known until the whole state has been read again."""


class Standing:
    """Who has lost their standing, as the registry has it."""

    bound: float = 3.0
    """Seconds after which silence means not knowing; the registry says how many, once it is heard."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` never goes back (`time.monotonic`)."""
        self._clock = clock
        self._withdrawn: dict[Subject, str] = {}
        self._passing: dict[Subject, float] = {}
        self._before, self._why_before = -1, ""
        self._watched: dict[object, tuple[Principal, Lost]] = {}
        self._on_change: list[Callable[[], None]] = []
        self._number: int | None = None
        self._whole = False
        self._good_until = float("-inf")

    @property
    def number(self) -> int | None:
        """The last change that is known of; None while nothing is."""
        return self._number

    @property
    def fresh(self) -> bool:
        """Whether what is known is recent enough to be relied on."""
        return self._clock() <= self._good_until

    def replace(self, number: int, withdrawn: Mapping[Subject, str]) -> None:
        """Take over the whole state as of change `number`, each subject with its cause.

        Raises `Gap` where it is older than what is known already: nobody is reinstated by an old story.
        """
        if self._number is not None and number < self._number:
            raise Gap(f"state {number} is older than {self._number}")
        self._number, self._withdrawn, self._whole = number, dict(withdrawn), True
        self._passing = {}  # since when, the registry knows; it leaves out what has passed
        self._changed()

    def change(self, number: int, subject: Subject, cause: str | None) -> None:
        """Withdraw, or with no cause reinstate.  Raises `Gap` unless it is the very next change."""
        if self._number is None or number != self._number + 1:
            raise Gap(f"change {number} after {self._number}")
        self._number = number
        if cause is None:
            self._withdrawn.pop(subject, None)
        else:
            self._withdrawn[subject] = cause
            self._passing.pop(subject, None)  # from now on, also where it was withdrawn before
        self._changed()

    def _changed(self) -> None:
        now = self._clock()
        passing = (subject for subject in self._withdrawn if subject[0] in PASSING)
        self._passing = {subject: self._passing.get(subject, now) for subject in passing}
        for subject in [known for known, since in self._passing.items() if since < now - KEPT]:
            del self._withdrawn[subject]
        before = [(int(name), cause) for (kind, name), cause in self._withdrawn.items() if kind == "before"]
        self._before, self._why_before = max(before, default=(-1, ""))
        for key, (principal, lost) in list(self._watched.items()):
            if (decision := self._withdrawn_from(principal)) is not None:
                del self._watched[key]
                lost(decision)
        for call in self._on_change:
            call()

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called after every change: what was kept of the withdrawn is to be forgotten."""
        self._on_change.append(call)

    @contextmanager
    def watching(self, principal: Principal, lost: Lost) -> Iterator[None]:
        """Have `lost` called, in this block, as soon as this caller is withdrawn."""
        key = object()
        self._watched[key] = (principal, lost)
        try:
            yield
        finally:
            self._watched.pop(key, None)

    def confirm(self, number: int, oldest: float) -> None:
        """Hear that `number` was the last change, from sources the oldest of which was read `oldest` seconds ago.

        Raises `Gap` where it is not the last change that is known here.
        """
        if number != self._number or not self._whole:
            raise Gap(f"there are {number} changes, and {self._number} are known, or not for sure")
        self._good_until = self._clock() + self.bound - oldest

    def forget(self) -> None:
        """Know nothing, until the whole state comes again."""
        self._good_until, self._whole = float("-inf"), False

    def of(self, principal: Principal) -> Decision:
        """Whether this caller still stands: session, user, client, all who act, the token and all it comes from."""
        return self._decision(self._withdrawn_from(principal))

    def of_party(self, party: str) -> Decision:
        """Whether a party that calls without a token still stands."""
        return self._decision(self._first((("party", party),)))

    def of_peer(self, party: str) -> Decision:
        """Whether a party that is about to be called still stands.  Where it does not, the caller has lost nothing."""
        decision = self.of_party(party)
        lost = decision.reason is Reason.WITHDRAWN
        return replace(decision, reason=Reason.PEER_WITHDRAWN) if lost else decision

    def _decision(self, lost: Decision | None) -> Decision:
        if lost is not None:  # first, for what is known to be withdrawn is refused however old the knowledge is
            return lost
        return _GOOD if self.fresh else _UNKNOWN

    def _withdrawn_from(self, principal: Principal) -> Decision | None:
        if principal.begun_at <= self._before:
            return _withdrawn(f"begun before {self._before}: {self._why_before}")
        return self._first(
            (
                ("session", principal.session),
                ("user", principal.subject),
                ("token", principal.token_id),
                *(("token", ancestor) for ancestor in principal.lineage),
                *(("party", party) for party in (principal.client, *principal.actors)),
            )
        )

    def _first(self, subjects: Iterable[Subject]) -> Decision | None:
        for subject in subjects:
            if cause := self._withdrawn.get(subject):
                return _withdrawn(f"{' '.join(subject)}: {cause}")
        return None


def _withdrawn(why: str) -> Decision:
    return Decision(allowed=False, reason=Reason.WITHDRAWN, detail=why)
