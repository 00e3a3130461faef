"""What has been withdrawn, and how fresh that knowledge is.  Pure, in memory, asked on every call.

It fails closed by its shape: it says yes only where it has heard everything up to a moment that is recent enough.
A gap, or silence, and every answer is that it does not know.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from zerotrust.identity import Principal
from zerotrust.policy import Decision, Reason

Kind = Literal["party", "user", "session", "token"]
Subject = tuple[Kind, str]
"""What can be withdrawn: a party, a user, a session, or a token with all that was derived from it."""

_GOOD = Decision(allowed=True, reason=Reason.GRANTED)


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

    def change(self, number: int, subject: Subject, cause: str | None) -> None:
        """Withdraw, or with no cause reinstate.  Raises `Gap` unless it is the very next change."""
        if self._number is None or number != self._number + 1:
            raise Gap(f"change {number} after {self._number}")
        self._number = number
        if cause is None:
            self._withdrawn.pop(subject, None)
        else:
            self._withdrawn[subject] = cause

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
        """Whether this caller still stands: its session, its user, all who act, the token and all it came from."""
        return self._decide(
            (
                ("session", principal.session),
                ("user", principal.subject),
                ("token", principal.token_id),
                *(("token", ancestor) for ancestor in principal.lineage),
                *(("party", actor) for actor in (principal.actors or (principal.party,))),
            )
        )

    def of_party(self, party: str) -> Decision:
        """Whether that party still stands: one that is about to be called, or that calls without a token."""
        return self._decide((("party", party),))

    def _decide(self, subjects: Iterable[Subject]) -> Decision:
        # First, for what is known to be withdrawn is refused however old the knowledge is.
        if self._withdrawn:
            for subject in subjects:
                if cause := self._withdrawn.get(subject):
                    return Decision(allowed=False, reason=Reason.WITHDRAWN, detail=f"{' '.join(subject)}: {cause}")
        if not self.fresh:
            return Decision(allowed=False, reason=Reason.STANDING_UNKNOWN, detail="no recent word from the registry")
        return _GOOD
