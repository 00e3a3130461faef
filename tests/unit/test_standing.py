"""Standing: yes only where everything was heard up to a moment that is recent enough."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.door import Clock
from zerotrust.identity import Principal
from zerotrust.policy import Reason
from zerotrust.standing import Gap, Standing, Subject

READER, ORCHESTRATOR = "spiffe://agents.example/agent/reader", "spiffe://agents.example/orchestrator"
CALLER = Principal(
    subject="alice",
    party=READER,
    actors=(READER, ORCHESTRATOR),
    audience="spiffe://agents.example/tool/documents",
    scopes=frozenset(),
    groups=frozenset(),
    token_id="T2",
    lineage=("T0", "T1"),
    session="session-1",
    issued_at=0,
    expires_at=60,
    token="",
)
USER = Principal(
    subject="alice",
    party="walkthrough",
    actors=(),
    audience=ORCHESTRATOR,
    scopes=frozenset(),
    groups=frozenset(),
    token_id="T0",
    lineage=(),
    session="session-1",
    issued_at=0,
    expires_at=60,
    token="",
)


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def standing(clock: Clock) -> Standing:
    """Nobody is withdrawn, as has just been heard."""
    standing = Standing(clock=clock)
    standing.replace(0, {})
    standing.confirm(0, 0.0)
    return standing


WITHDRAWN: list[Subject] = [
    ("session", "session-1"),
    ("user", "alice"),
    ("token", "T2"),
    ("token", "T1"),
    ("token", "T0"),
    ("party", READER),
    ("party", ORCHESTRATOR),
]


@pytest.mark.parametrize("subject", WITHDRAWN, ids=" ".join)
def test_whatever_a_caller_stands_on_can_be_withdrawn_and_given_back(standing: Standing, subject: Subject) -> None:
    assert standing.of(CALLER)

    standing.change(1, subject, "a theft")
    refused = standing.of(CALLER)
    standing.change(2, subject, None)

    assert (refused.allowed, refused.reason) == (False, Reason.WITHDRAWN)
    assert refused.detail == f"{' '.join(subject)}: a theft"
    assert standing.of(CALLER)


@pytest.mark.parametrize(
    "subject",
    [("session", "alice"), ("user", "session-1"), ("token", "alice"), ("party", "alice"), ("user", "bob")],
    ids=" ".join,
)
def test_what_another_stands_on_takes_nothing_from_a_caller(standing: Standing, subject: Subject) -> None:
    standing.change(1, subject, "a theft")

    assert standing.of(CALLER)


def test_a_login_client_can_be_withdrawn_too(standing: Standing) -> None:
    standing.change(1, ("party", "walkthrough"), "a theft")

    assert standing.of(USER).reason is Reason.WITHDRAWN
    assert standing.of(CALLER)  # who did not come by it


def test_a_party_that_is_called_or_calls_by_itself_stands_or_not(standing: Standing) -> None:
    standing.change(1, ("party", READER), "drift")

    assert standing.of_party(READER).reason is Reason.WITHDRAWN
    assert standing.of_party(ORCHESTRATOR)


def test_at_first_nothing_is_known_and_so_nothing_is_allowed(clock: Clock) -> None:
    standing = Standing(clock=clock)

    assert standing.of(CALLER).reason is Reason.STANDING_UNKNOWN
    standing.replace(0, {})
    assert standing.of(CALLER).reason is Reason.STANDING_UNKNOWN  # the state may be old
    standing.confirm(0, 0.0)
    assert standing.of(CALLER)


@pytest.mark.parametrize(("silence", "known"), [(0, True), (3.0, True), (3.001, False), (1e9, False)])
def test_silence_means_not_knowing(standing: Standing, clock: Clock, silence: float, known: bool) -> None:
    clock.now += silence

    assert bool(standing.of(CALLER)) is known
    assert standing.fresh is known
    assert standing.of(CALLER).reason is (Reason.GRANTED if known else Reason.STANDING_UNKNOWN)


@pytest.mark.parametrize(("oldest", "known"), [(0.0, True), (2.9, True), (3.1, False), (1e9, False)])
def test_a_source_that_was_not_read_for_too_long_means_not_knowing(
    standing: Standing, oldest: float, known: bool
) -> None:
    standing.confirm(0, oldest)

    assert bool(standing.of(CALLER)) is known


def test_who_is_known_to_be_withdrawn_is_told_so_however_old_the_knowledge_is(standing: Standing, clock: Clock) -> None:
    standing.change(1, ("user", "alice"), "a theft")
    clock.now += 1e6

    assert standing.of(CALLER).reason is Reason.WITHDRAWN


def test_the_state_withdraws_and_reinstates_all_at_once(standing: Standing) -> None:
    standing.change(1, ("user", "alice"), "a theft")
    standing.replace(7, {("party", READER): "drift"})

    assert standing.of(CALLER).detail == f"party {READER}: drift"
    assert standing.of(USER)
    assert standing.number == 7


@pytest.mark.parametrize("number", [0, 1, 3, 100])
def test_a_change_that_is_not_the_next_one_is_a_gap(standing: Standing, number: int) -> None:
    standing.change(1, ("user", "alice"), "a theft")

    with pytest.raises(Gap):
        standing.change(number, ("user", "alice"), None)
    assert standing.of(CALLER).reason is Reason.WITHDRAWN


def test_a_change_before_any_state_is_a_gap(clock: Clock) -> None:
    with pytest.raises(Gap):
        Standing(clock=clock).change(1, ("user", "alice"), "a theft")


@pytest.mark.parametrize("number", [0, 2])
def test_a_heartbeat_after_another_change_is_a_gap_and_makes_nothing_fresh(
    standing: Standing, clock: Clock, number: int
) -> None:
    standing.change(1, ("user", "bob"), "a theft")
    clock.now += 4

    with pytest.raises(Gap):
        standing.confirm(number, 0.0)
    assert not standing.fresh


def test_nobody_is_reinstated_by_an_old_story(standing: Standing) -> None:
    standing.replace(5, {("user", "alice"): "a theft"})

    with pytest.raises(Gap):
        standing.replace(4, {})
    assert standing.of(CALLER).reason is Reason.WITHDRAWN


def test_what_was_forgotten_is_not_known_until_the_whole_state_has_come_again(standing: Standing) -> None:
    standing.forget()
    assert standing.of(CALLER).reason is Reason.STANDING_UNKNOWN
    with pytest.raises(Gap):  # what was told in between may have been missed, whatever the number
        standing.confirm(0, 0.0)

    standing.replace(0, {})
    standing.confirm(0, 0.0)

    assert standing.of(CALLER)


SUBJECTS = st.sampled_from([*WITHDRAWN, ("user", "bob"), ("session", "session-2")])


class Told(RuleBasedStateMachine):
    """A registry that withdraws and reinstates, lines that get lost, and what a party makes of the rest."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock(1000.0)
        self.standing = Standing(clock=self.clock)
        self.number = 0
        self.withdrawn: dict[Subject, str] = {}  # as the registry has it
        self.known: dict[Subject, str] = {}  # as far as it was heard here
        self.heard: int | None = None
        self.whole = False
        self.good_until = float("-inf")
        self.since: dict[Subject, float] = {}
        self.old: list[tuple[int, dict[Subject, str]]] = []

    @rule(subject=SUBJECTS, back=st.booleans(), lost=st.booleans())
    def change(self, subject: Subject, *, back: bool, lost: bool) -> None:
        self.old.append((self.number, dict(self.withdrawn)))
        self.number += 1
        cause = None if back else f"cause {self.number}"
        for story in (self.withdrawn,) if lost or self.heard != self.number - 1 else (self.withdrawn, self.known):
            story.pop(subject, None)
            if cause:
                story[subject] = cause
        if back:
            self.since.pop(subject, None)
        else:
            self.since.setdefault(subject, self.clock.now)
        if lost:
            return
        if self.heard == self.number - 1:
            self.standing.change(self.number, subject, cause)
            self.heard = self.number
        else:
            with pytest.raises(Gap):
                self.standing.change(self.number, subject, cause)

    @rule()
    def state(self) -> None:
        self.standing.replace(self.number, self.withdrawn)
        self.known, self.heard, self.whole = dict(self.withdrawn), self.number, True

    @precondition(lambda self: self.old)
    @rule(data=st.data())
    def old_state(self, data: Any) -> None:
        number, withdrawn = data.draw(st.sampled_from(self.old))
        if self.heard is not None and number < self.heard:
            with pytest.raises(Gap):
                self.standing.replace(number, withdrawn)
        else:
            self.standing.replace(number, withdrawn)
            self.known, self.heard, self.whole = dict(withdrawn), number, True

    @rule(oldest=st.floats(0, 10))
    def heartbeat(self, oldest: float) -> None:
        if self.heard == self.number and self.whole:
            self.standing.confirm(self.number, oldest)
            self.good_until = self.clock.now + 3.0 - oldest
        else:
            with pytest.raises(Gap):
                self.standing.confirm(self.number, oldest)

    @rule(seconds=st.floats(0, 5))
    def silence(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def forget(self) -> None:
        self.standing.forget()
        self.whole, self.good_until = False, float("-inf")

    @invariant()
    def it_says_what_it_was_told(self) -> None:
        stands_on = [s for s in WITHDRAWN if s in self.known]
        answer = self.standing.of(CALLER)
        if stands_on:
            assert answer.reason is Reason.WITHDRAWN
            assert any(answer.detail == f"{' '.join(s)}: {self.known[s]}" for s in stands_on)
        else:
            assert answer.allowed is (self.clock.now <= self.good_until)
        assert self.standing.number == self.heard

    @invariant()
    def nobody_is_let_in_longer_than_the_bound_after_being_withdrawn(self) -> None:
        for party in (READER, ORCHESTRATOR):
            if self.standing.of_party(party) and ("party", party) in self.since:
                assert self.clock.now - self.since["party", party] <= self.standing.bound


Told.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
TestWhatAPartyMakesOfWhatItIsTold = Told.TestCase
