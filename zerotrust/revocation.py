"""What has been revoked, and how fresh that knowledge is.  Pure, in memory, asked on every call.

It fails closed by its shape: it says yes only where it has heard everything up to a moment that is recent enough.
A gap, or silence, and nobody gets a yes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from zerotrust.decision import Decision, Reason
from zerotrust.errors import ZeroTrustError
from zerotrust.identity import Principal
from zerotrust.revocation_list import Revocable, RevocationList, time_of

Lost = Callable[[Decision], None]
"""Called once with why somebody has lost their standing."""

_GOOD = Decision(allowed=True, reason=Reason.GRANTED)
_UNKNOWN = Decision(allowed=False, reason=Reason.REVOCATION_UNKNOWN, detail="no recent word from the registry")


class Gap(ZeroTrustError):
    """A change was missed; nothing is known until the whole state has been read again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    """A call under way that ends with its caller's standing."""

    caller: Principal
    lost: Lost
    subjects: tuple[Revocable, ...]


class Revocations:
    """Who has lost their standing, as the registry has it.  A change touches what it names, and nothing else."""

    bound: float = 3.0
    """Seconds after which silence means not knowing; the registry says how many, once it is heard."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """`clock` never goes back (`time.monotonic`)."""
        self._clock = clock
        self._all, self._coming = RevocationList(), RevocationList()
        self._watches: dict[Revocable, set[_Watch]] = {}
        self._number: int | None = None
        self._next_part = (0, 0, 0)
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

    @property
    def revoked(self) -> Mapping[Revocable, str]:
        """Everything that is revoked, with its cause."""
        return self._all.causes

    def replace(self, number: int, revoked: Mapping[Revocable, str], part: int = 1, parts: int = 1) -> None:
        """Take over the whole state as of change `number`, each subject with its cause, in so many parts.

        Nothing of it counts before the last one has come.  Raises `Gap` where a part is missing, and where the state is
        older than what is known already: nobody is reinstated by an old story.
        """
        if self._number is not None and number < self._number:
            raise Gap(f"state {number} is older than {self._number}")
        if part == 1:
            self._coming, self._next_part = RevocationList(), (number, 1, parts)
        if (number, part, parts) != self._next_part:
            raise Gap(f"part {part} of {parts} of state {number}, and not {self._next_part}")
        self._next_part = number, part + 1, parts
        now = self._clock()
        for subject, cause in revoked.items():  # since when, the registry knows; it leaves out what has passed
            self._coming.add(subject, cause, now)
        if part == parts:
            self._number, self._all, self._whole = number, self._coming, True
            self._coming, self._next_part = RevocationList(), (0, 0, 0)
            self._end({watch for watches in self._watches.values() for watch in watches})

    def change(self, number: int, subject: Revocable, cause: str | None) -> None:
        """Revoke, or with no cause reinstate.  Raises `Gap` unless it is the very next change."""
        if self._number is None or number != self._number + 1:
            raise Gap(f"change {number} after {self._number}")
        now = self._clock()
        if cause is None:
            self._all.remove(subject)
        else:
            self._all.add(subject, cause, now)
        self._number = number
        for passed in self._all.passed(now):
            self._all.remove(passed)
        if cause is not None:
            self._end(self._concerned(subject))

    def _concerned(self, subject: Revocable) -> Iterable[_Watch]:
        if subject[0] != "before":
            return self._watches.get(subject, ())
        if whose := time_of(subject)[1]:
            return self._watches.get(("user", whose[0]), ())
        return {watch for watches in self._watches.values() for watch in watches}

    def _end(self, watches: Iterable[_Watch]) -> None:
        """Tell those of them whose caller is revoked by now, and watch for them no more."""
        for watch in list(watches):
            if (decision := self._revoked_from(watch.caller)) is not None:
                self._watch_no_more(watch)
                watch.lost(decision)

    def _watch_no_more(self, watch: _Watch) -> None:
        for subject in watch.subjects:
            if (watches := self._watches.get(subject)) is not None:
                watches.discard(watch)
                if not watches:
                    del self._watches[subject]

    @contextmanager
    def watching(self, principal: Principal, lost: Lost) -> Iterator[None]:
        """Have `lost` called, in this block, as soon as this caller is revoked; at once where it is already."""
        watch = _Watch(principal, lost, _subjects(principal))
        for subject in watch.subjects:
            self._watches.setdefault(subject, set()).add(watch)
        try:
            self._end((watch,))
            yield
        finally:
            self._watch_no_more(watch)

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
        return self._decision(self._revoked_from(principal))

    def of_party(self, party: str) -> Decision:
        """Whether a party that calls without a token still stands."""
        return self._decision(self._first((("party", party),)))

    def of_peer(self, party: str) -> Decision:
        """Whether a party that is about to be called still stands.  Where it does not, the caller has lost nothing."""
        decision = self.of_party(party)
        lost = decision.reason is Reason.REVOKED
        return replace(decision, reason=Reason.PEER_REVOKED) if lost else decision

    def _decision(self, lost: Decision | None) -> Decision:
        if lost is not None:  # first, for what is known to be revoked is refused however old the knowledge is
            return lost
        return _GOOD if self.fresh else _UNKNOWN

    def _revoked_from(self, principal: Principal) -> Decision | None:
        for until, cause in self._all.times(principal.subject, (principal.client, *principal.actors)):
            if principal.chain_started_at <= until:
                return _revoked(f"begun before {until}: {cause}")
        return self._first(_subjects(principal))

    def _first(self, subjects: Iterable[Revocable]) -> Decision | None:
        causes = self._all.causes
        for subject in subjects:
            if cause := causes.get(subject):
                return _revoked(f"{' '.join(subject)}: {cause}")
        return None


def _subjects(principal: Principal) -> tuple[Revocable, ...]:
    """By what a caller can be revoked, besides a time."""
    return (
        ("session", principal.session),
        ("user", principal.subject),
        ("token", principal.token_id),
        *(("token", ancestor) for ancestor in principal.lineage),
        *(("party", party) for party in (principal.client, *principal.actors)),
    )


def _revoked(why: str) -> Decision:
    return Decision(allowed=False, reason=Reason.REVOKED, detail=why)
