"""Keeps the revocations, and knows how fresh they are.  Pure, in memory, checked on every call.

It fails closed: it allows calls only while it has received every change up to a recent enough moment.  After a gap, or
without a heartbeat, it refuses every caller.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from zerotrust.decision import Decision, Reason
from zerotrust.errors import ZeroTrustError
from zerotrust.identity import Principal
from zerotrust.revocation_list import Revocable, RevocationList, time_of

OnRevoked = Callable[[Decision], None]
"""Called once, with the decision, when a caller or a called party is revoked."""

_GOOD = Decision(allowed=True, reason=Reason.GRANTED)
_UNKNOWN = Decision(allowed=False, reason=Reason.REVOCATION_UNKNOWN, detail="no recent heartbeat from the registry")


class Gap(ZeroTrustError):
    """A change was missed; nothing is known until the whole state has been read again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Watch:
    """A call under way, which ends when its caller or the called party is revoked."""

    revoked: Callable[[], Decision | None]
    on_revoked: OnRevoked
    subjects: tuple[Revocable, ...]


class Revocations:
    """This party's copy of the registry's revocations.  A change affects only the calls that it is about."""

    bound: float = 3.0
    """Seconds without a heartbeat after which the data is stale; the registry sets the number."""

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
        """The number of the last change received; None before the first state."""
        return self._number

    @property
    def fresh(self) -> bool:
        """Whether the data is recent enough to decide by."""
        return self._clock() <= self._good_until

    @property
    def revoked(self) -> Mapping[Revocable, str]:
        return self._all.causes

    def replace(self, number: int, revoked: Mapping[Revocable, str], part: int = 1, parts: int = 1) -> None:
        """Replace the state by that of change `number`, each subject with its cause, received in `parts` parts.

        It takes effect when the last part has come.  Raises `Gap` if a part is missing, and if the state is older than
        the present one, or another one with its number: neither reinstates anything.
        """
        if self._number is not None and number < self._number:  # control: state-not-older
            raise Gap(f"state {number} is older than {self._number}")
        if part == 1:
            self._coming, self._next_part = RevocationList(), (number, 1, parts)
        if (number, part, parts) != self._next_part:  # control: state-parts-in-order
            raise Gap(f"part {part} of {parts} of state {number} is out of order")
        self._next_part = number, part + 1, parts
        now = self._clock()
        for subject, cause in revoked.items():  # the registry knows the times, and leaves out expired revocations
            self._coming.add(subject, cause, now)
        # control: state-of-number-same
        if part == parts and number == self._number and self._coming.lasting != self._all.lasting:
            raise Gap(f"another state {number} than before")
        if part == parts:  # control: state-complete
            self._number, self._all, self._whole = number, self._coming, True
            self._coming, self._next_part = RevocationList(), (0, 0, 0)
            self._end({watch for watches in self._watches.values() for watch in watches})

    def change(self, number: int, subject: Revocable, cause: str | None) -> None:
        """Revoke a subject; without a cause, reinstate it.  Raises `Gap` unless it is the next change."""
        if self._number is None or number != self._number + 1:  # control: no-change-missed
            raise Gap(f"change {number} after {self._number}")
        now = self._clock()
        if cause is None:
            self._all.remove(subject)
        else:
            self._all.add(subject, cause, now)
        self._number = number
        for passed in self._all.expired_entries(now):  # control: follower-drops-expired-revocations
            self._all.remove(passed)
        if cause is not None:
            self._end(self._watches_of(subject))

    def _watches_of(self, subject: Revocable) -> Iterable[_Watch]:
        if subject[0] != "before":
            return self._watches.get(subject, ())
        if whose := time_of(subject)[1]:
            return self._watches.get(("user", whose[0]), ())
        return {watch for watches in self._watches.values() for watch in watches}

    def _end(self, watches: Iterable[_Watch]) -> None:
        """Notify the watches whose caller or called party is revoked by now, and remove them."""
        for watch in list(watches):
            if (decision := watch.revoked()) is not None:
                self._unwatch(watch)
                watch.on_revoked(decision)

    def _unwatch(self, watch: _Watch) -> None:
        for subject in watch.subjects:
            if (watches := self._watches.get(subject)) is not None:
                watches.discard(watch)
                if not watches:
                    del self._watches[subject]

    def watching(self, principal: Principal, on_revoked: OnRevoked) -> AbstractContextManager[None]:
        """Call `on_revoked` when this caller is revoked while the block runs; at once if it is revoked already."""
        watch = _Watch(partial(self._find_revocation, principal), on_revoked, _subjects(principal))
        return self._watching(watch, at_once=True)

    def watching_peer(self, party: str, on_revoked: OnRevoked) -> AbstractContextManager[None]:
        """Call `on_revoked` when this party, which is called, is suspended while the block runs; see `check_peer`."""
        subjects: tuple[Revocable, ...] = (("party", party),)

        def on_suspended(decision: Decision) -> None:
            on_revoked(replace(decision, reason=Reason.PEER_REVOKED))

        return self._watching(_Watch(partial(self._first_revoked, subjects), on_suspended, subjects), at_once=False)

    @contextmanager
    def _watching(self, watch: _Watch, *, at_once: bool) -> Iterator[None]:
        for subject in watch.subjects:
            self._watches.setdefault(subject, set()).add(watch)
        try:
            if at_once:
                self._end((watch,))
            yield
        finally:
            self._unwatch(watch)

    def confirm(self, number: int, oldest: float) -> None:
        """Take a heartbeat: `number` was the last change, and the oldest source was read `oldest` seconds ago.

        Raises `Gap` if this is not the last change received here.
        """
        if number != self._number or not self._whole:
            raise Gap(f"the registry is at change {number}; this copy is at {self._number}, or not complete")
        self._good_until = self._clock() + self.bound - oldest  # control: freshness-counts-from-oldest-read

    def forget(self) -> None:
        """Mark the data as stale, until the whole state and a heartbeat have been received again."""
        self._good_until, self._whole = float("-inf"), False  # control: gap-ends-freshness

    def check_caller(self, principal: Principal) -> Decision:
        """Decide whether a caller is revoked: session, user, client, every actor, the token and its ancestors."""
        return self._decision(self._find_revocation(principal))

    def check_party(self, party: str) -> Decision:
        """Decide whether a party that calls without a token is revoked."""
        return self._decision(self._first_revoked((("party", party),)))

    def is_suspended(self, party: str) -> bool:
        """Return whether a party is known to be suspended, however old that news is."""
        return self.check_party(party).reason is Reason.REVOKED

    def check_peer(self, party: str) -> Decision:
        """Decide whether a party to be called is revoked, with a reason that does not blame the caller."""
        decision = self.check_party(party)
        return replace(decision, reason=Reason.PEER_REVOKED) if self.is_suspended(party) else decision

    def _decision(self, revoked: Decision | None) -> Decision:
        if revoked is not None:  # first, because a known revocation counts even if the data is stale
            return revoked
        return _GOOD if self.fresh else _UNKNOWN  # control: revocations-fresh

    def _find_revocation(self, principal: Principal) -> Decision | None:
        if not self._all.causes:
            return None
        for until, cause in self._all.times(principal.subject, (principal.client, *principal.actors)):
            if principal.chain_started_at <= until:  # control: chain-started-after-revocation
                return _denial(f"chain started before {until}: {cause}")
        return self._first_revoked(_subjects(principal))

    def _first_revoked(self, subjects: Iterable[Revocable]) -> Decision | None:
        causes = self._all.causes
        for subject in subjects:
            if cause := causes.get(subject):
                return _denial(f"{' '.join(subject)}: {cause}")
        return None


def _subjects(principal: Principal) -> tuple[Revocable, ...]:
    """Return the subjects, other than times, whose revocation revokes this caller."""
    return (
        ("session", principal.session),  # control: session-not-revoked
        ("user", principal.subject),  # control: user-not-revoked
        ("token", principal.token_id),  # control: token-not-revoked
        *(("token", ancestor) for ancestor in principal.lineage),  # control: ancestors-not-revoked
        *(("party", party) for party in (principal.client, *principal.actors)),  # control: acting-parties-not-suspended
    )


def _denial(why: str) -> Decision:
    return Decision(allowed=False, reason=Reason.REVOKED, detail=why)
