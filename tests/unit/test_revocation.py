"""Revocations: yes only where everything was heard up to a moment that is recent enough."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import ValidationError

from testkit import principal
from tests.support.door import Clock
from zerotrust.decision import Decision, Reason
from zerotrust.registry.model import Party
from zerotrust.revocation import Gap, Revocations
from zerotrust.revocation_list import LONGEST_LIFE, MOST_FORGOTTEN, RETENTION, Kind, Revocable, lasts, time_of
from zerotrust.token_validation import CLOCK_SKEW, TICK

READER, ORCHESTRATOR = "spiffe://agents.example/agent/reader", "spiffe://agents.example/orchestrator"
CALLER = principal(actors=(READER, ORCHESTRATOR), token_id="T2", lineage=("T0", "T1"), client="walkthrough")


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def revocations(clock: Clock) -> Revocations:
    """Nobody is revoked, as has just been heard."""
    revocations = Revocations(clock=clock)
    revocations.replace(0, {})
    revocations.confirm(0, 0.0)
    return revocations


REVOKED: list[Revocable] = [
    ("session", "session-1"),
    ("user", "alice"),
    ("token", "T2"),
    ("token", "T1"),
    ("token", "T0"),
    ("party", READER),
    ("party", ORCHESTRATOR),
]


def test_a_party_that_is_called_or_calls_by_itself_stands_or_not(revocations: Revocations) -> None:
    revocations.change(1, ("party", READER), "drift")

    assert revocations.check_party(READER).reason is Reason.REVOKED
    assert revocations.check_party(ORCHESTRATOR)
    lost = revocations.check_peer(READER)
    assert (lost.allowed, lost.reason, lost.detail) == (False, Reason.PEER_REVOKED, f"party {READER}: drift")
    assert revocations.check_peer(ORCHESTRATOR)
    revocations.forget()
    assert revocations.check_peer(ORCHESTRATOR).reason is Reason.REVOCATION_UNKNOWN


# what was issued before a time


@pytest.mark.parametrize("name", ["", "x", " alice", "1 alice reader writer"])
def test_what_names_no_time_is_not_taken_for_one(revocations: Revocations, name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        revocations.change(1, ("before", name), "nonsense")
    assert revocations.number == 0


# whoever is watched


def test_who_watches_no_more_is_not_notified_and_what_it_does_then_is_its_own_affair(revocations: Revocations) -> None:
    told: list[Decision] = []

    with revocations.watching(CALLER, told.append):
        pass
    with pytest.raises(ValueError, match="broken"), revocations.watching(CALLER, told.append):
        raise ValueError("broken")
    revocations.change(1, ("user", "alice"), "a theft")

    assert told == []
    assert revocations._watches == {}


def test_two_calls_are_two_though_nothing_tells_them_apart(revocations: Revocations) -> None:
    told: list[Decision] = []

    with revocations.watching(CALLER, told.append), revocations.watching(CALLER, told.append):
        revocations.change(1, ("user", "alice"), "a theft")

    assert len(told) == 2


# the whole state, in parts


@pytest.mark.parametrize(
    "parts",
    [[(7, 2, 2)], [(7, 1, 3), (7, 3, 3)], [(7, 1, 2), (8, 2, 2)], [(7, 1, 3), (7, 2, 2)], [(7, 1, 1), (7, 2, 2)]],
    ids=["no first", "one missing", "of another state", "of fewer", "after the last"],
)
def test_a_part_that_is_not_the_next_one_is_a_gap(revocations: Revocations, parts: list[tuple[int, int, int]]) -> None:
    *first, (number, part, of) = parts
    for one in first:
        revocations.replace(one[0], {}, *one[1:])
    with pytest.raises(Gap):
        revocations.replace(number, {("user", "alice"): "a theft"}, part, of)

    assert revocations.check_caller(CALLER)


def test_a_state_that_is_begun_anew_has_nothing_of_the_one_that_was_broken_off(revocations: Revocations) -> None:
    revocations.replace(7, {("user", "alice"): "a theft"}, 1, 2)
    revocations.replace(7, {("user", "bob"): "a theft"}, 1, 2)
    revocations.replace(7, {}, 2, 2)

    assert list(revocations.revoked) == [("user", "bob")]


# what is forgotten


@pytest.mark.parametrize("subject", [*REVOKED, ("before", "5"), ("before", "5 alice")], ids=" ".join)
def test_what_ends_by_itself_is_forgotten_when_no_token_of_its_can_be_alive_and_nothing_else_is(
    revocations: Revocations, clock: Clock, subject: Revocable
) -> None:
    revocations.change(1, subject, "a theft")
    clock.now += lasts(subject) or max(RETENTION.values())
    revocations.change(2, ("user", "bob"), "another's")
    assert revocations.check_caller(CALLER).reason is Reason.REVOKED  # to the second

    clock.now += 0.001
    revocations.change(3, ("user", "carol"), "another's")
    revocations.confirm(3, 0.0)

    passes = subject[0] in RETENTION or subject == ("before", "5 alice")
    assert bool(revocations.check_caller(CALLER)) is passes is (lasts(subject) is not None)
    assert ("user", "bob") in revocations.revoked


def test_a_token_is_remembered_for_longer_than_anything_that_was_derived_from_it_can_live() -> None:
    assert RETENTION["token"] > LONGEST_LIFE + CLOCK_SKEW + TICK
    with pytest.raises(ValidationError):
        Party(id="spiffe", keycloak="confidential", max_ttl=LONGEST_LIFE + 1)


@pytest.mark.parametrize("kind", ["user", "party"])
def test_what_stays_until_it_is_reinstated_stays_whatever_its_name(kind: Kind) -> None:
    assert lasts((kind, "1 alice")) is None


# what a change costs


class Counting(dict[Any, Any]):
    """Counts how often it is looked into, and refuses to be gone through."""

    looks = 0

    def get(self, key: Any, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)

    def __getitem__(self, key: Any) -> Any:
        self.looks += 1
        return super().__getitem__(key)

    def __iter__(self) -> Any:
        raise AssertionError("a change goes through all of it")

    items = values = keys = __iter__  # none of them


@pytest.mark.parametrize("subject", [*REVOKED, ("before", "5 alice")], ids=" ".join)
def test_a_change_touches_what_it_names_however_much_is_revoked_and_watched(
    revocations: Revocations, clock: Clock, subject: Revocable
) -> None:
    looks, told = [], list[Decision]()
    for many in 10, 10_000:
        kinds: tuple[Kind, ...] = ("session", "token")
        revocations.replace(many, {(kinds[n % 2], f"other-{n}"): "x" for n in range(many)})
        others = replace(CALLER, subject="bob", session="s", token_id="T", lineage=(), actors=(), client="c")
        with ExitStack() as stack:
            for number in range(100):
                stack.enter_context(revocations.watching(replace(others, token_id=f"watched-{number}"), told.append))
            stack.enter_context(revocations.watching(CALLER, told.append))
            causes, watches = Counting(revocations._all.causes), Counting(revocations._watches)
            since = Counting(revocations._all.since)
            revocations._all.causes, revocations._all.since, revocations._watches = causes, since, watches
            revocations.change(many + 1, subject, "a theft")
            looks.append((causes.looks, since.looks, watches.looks))
            revocations._watches = dict(dict.items(watches))
        assert len(told) == 1
        told.clear()

    assert looks[0] == looks[1]
    assert sum(looks[0]) < 50


def test_however_much_passes_at_once_a_change_forgets_a_bounded_part_of_it(
    revocations: Revocations, clock: Clock
) -> None:
    revocations.replace(0, {("token", str(number)): "x" for number in range(10 * MOST_FORGOTTEN)})
    clock.now += RETENTION["token"] + 1
    left = []
    for number in range(1, 12):
        revocations.change(number, ("user", "bob"), "x")
        left.append(len(revocations.revoked) - 1)

    assert left == [*range(9 * MOST_FORGOTTEN, -1, -MOST_FORGOTTEN), 0]


SUBJECTS = st.sampled_from(
    [
        *REVOKED,
        *((kind, name) for kind, name in (("user", "bob"), ("session", "session-2"))),
        *(
            ("before", name)
            for name in ("-5", "0", "10", "-5 alice", "0 alice", "10 alice", "10 bob", f"0 alice {READER}")
        ),
    ]
)


def loses(subject: Revocable) -> bool:
    """Whether the caller falls with it; its token was issued at 0."""
    if subject[0] != "before":
        return subject in REVOKED
    until, whose = time_of(subject)
    return until >= 0 and (not whose or whose[0] == "alice")


def tell(story: dict[Revocable, str], subject: Revocable, cause: str | None) -> None:
    """Note a change by hand: of times for the same tokens, the latest alone."""
    if cause is None:
        story.pop(subject, None)
        return
    if subject[0] == "before":
        until, whose = time_of(subject)
        same = [known for known in story if known[0] == "before" and time_of(known)[1] == whose]
        if any(time_of(known)[0] > until for known in same):
            return
        for known in same:
            del story[known]
    story[subject] = cause


class Told(RuleBasedStateMachine):
    """A registry that revokes and reinstates, lines that get lost, and what a party makes of the rest."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock(1000.0)
        self.revocations = Revocations(clock=self.clock)
        self.number = 0
        self.revoked: dict[Revocable, str] = {}  # as the registry has it
        self.known: dict[Revocable, str] = {}  # as far as it was heard here
        self.passing: dict[Revocable, float] = {}  # since when, of what is forgotten after a while
        self.heard: int | None = None
        self.whole = False
        self.good_until = float("-inf")
        self.since: dict[Revocable, float] = {}
        self.last: dict[Revocable, float] = {}
        self.old: list[tuple[int, dict[Revocable, str]]] = []
        self.watching: list[AbstractContextManager[None]] = []
        self.told: list[list[Decision]] = []
        self.to_be_told: list[list[str]] = []

    def applied(self) -> None:
        """Do by hand what a change that was heard brings with it."""
        for subject in [s for s, since in self.passing.items() if since < self.clock.now - (lasts(s) or 0)]:
            del self.passing[subject]
            del self.known[subject]
        if any(loses(subject) for subject in self.known):
            for expected in self.to_be_told:
                expected[:] = ["told"]

    def knows_all(self, number: int, revoked: dict[Revocable, str]) -> None:
        self.known, self.heard, self.whole = dict(revoked), number, True
        self.passing = {subject: self.clock.now for subject in revoked if lasts(subject)}
        self.applied()

    @rule(subject=SUBJECTS, back=st.booleans(), lost=st.booleans())
    def change(self, subject: Revocable, *, back: bool, lost: bool) -> None:
        self.old.append((self.number, dict(self.revoked)))
        self.number += 1
        cause = None if back else f"cause {self.number}"
        for story in (self.revoked,) if lost or self.heard != self.number - 1 else (self.revoked, self.known):
            tell(story, subject, cause)
        if back:
            self.since.pop(subject, None)
        else:
            self.since.setdefault(subject, self.clock.now)
            self.last[subject] = self.clock.now
        if lost:
            return
        if self.heard == self.number - 1:
            self.revocations.change(self.number, subject, cause)
            self.heard = self.number
            self.passing.pop(subject, None)
            self.passing = {known: since for known, since in self.passing.items() if known in self.known}
            if subject in self.known and lasts(subject):
                self.passing[subject] = self.clock.now
            self.applied()
        else:
            with pytest.raises(Gap):
                self.revocations.change(self.number, subject, cause)

    @rule()
    def state(self) -> None:
        self.revocations.replace(self.number, self.revoked)
        self.knows_all(self.number, self.revoked)

    @precondition(lambda self: self.old)
    @rule(data=st.data())
    def old_state(self, data: Any) -> None:
        number, revoked = data.draw(st.sampled_from(self.old))
        if self.heard is not None and number < self.heard:
            with pytest.raises(Gap):
                self.revocations.replace(number, revoked)
        else:
            self.revocations.replace(number, revoked)
            self.knows_all(number, revoked)

    @rule(oldest=st.floats(0, 10))
    def heartbeat(self, oldest: float) -> None:
        if self.heard == self.number and self.whole:
            self.revocations.confirm(self.number, oldest)
            self.good_until = self.clock.now + 3.0 - oldest
        else:
            with pytest.raises(Gap):
                self.revocations.confirm(self.number, oldest)

    @rule(seconds=st.one_of(st.floats(0, 5), *(st.floats(kept - 5, kept + 5) for kept in RETENTION.values())))
    def silence(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def forget(self) -> None:
        self.revocations.forget()
        self.whole, self.good_until = False, float("-inf")

    @rule()
    def watch(self) -> None:
        told: list[Decision] = []
        watching = self.revocations.watching(CALLER, told.append)
        watching.__enter__()
        self.watching.append(watching)
        self.told.append(told)
        self.to_be_told.append(["told"] * any(loses(subject) for subject in self.known))

    @precondition(lambda self: self.watching)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        number = data.draw(st.integers(0, len(self.watching) - 1))
        self.watching.pop(number).__exit__(None, None, None)
        assert len(self.told.pop(number)) == len(self.to_be_told.pop(number))

    @invariant()
    def it_says_what_it_was_expected(self) -> None:
        stands_on = [s for s in self.known if loses(s)]
        answer = self.revocations.check_caller(CALLER)
        if stands_on:
            assert answer.reason is Reason.REVOKED
            assert any(answer.detail.endswith(f": {self.known[s]}") for s in stands_on)
        else:
            assert answer.allowed is (self.clock.now <= self.good_until)
        assert self.revocations.number == self.heard

    @invariant()
    def who_watches_was_expected_once_of_every_loss_and_of_nothing_else(self) -> None:
        assert [len(told) for told in self.told] == [len(expected) for expected in self.to_be_told]
        assert all(decision.reason is Reason.REVOKED for told in self.told for decision in told)

    @invariant()
    def it_remembers_no_more_than_the_model(self) -> None:
        assert self.revocations.revoked == self.known

    @invariant()
    def nobody_is_let_in_longer_than_the_bound_after_being_revoked(self) -> None:
        """But for sessions and tokens so long after that none of theirs can be alive."""
        if self.revocations.check_caller(CALLER):
            for subject in filter(loses, self.since):
                dead = self.clock.now - self.last[subject] > (lasts(subject) or float("inf"))
                assert dead or self.clock.now - self.since[subject] <= self.revocations.bound


Told.TestCase.settings = settings(max_examples=80, stateful_step_count=40)
TestWhatAPartyMakesOfWhatItIsTold = Told.TestCase
