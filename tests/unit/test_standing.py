"""Standing: yes only where everything was heard up to a moment that is recent enough."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import ValidationError

from tests.support.door import Clock
from zerotrust.decision import Decision, Reason
from zerotrust.identity import Principal
from zerotrust.registry import Party
from zerotrust.standing import Gap, Standing
from zerotrust.verify import CLOCK_SKEW, TICK
from zerotrust.withdrawn import KEPT, LONGEST_LIFE, MOST_FORGOTTEN, Kind, Subject, lasts, time_of

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
    client="walkthrough",
    begun_at=0,
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
    client="walkthrough",
    begun_at=0,
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
    assert standing.of(CALLER).reason is Reason.WITHDRAWN  # what was derived from what it was given
    assert standing.of(replace(CALLER, client="console"))


def test_a_party_that_is_called_or_calls_by_itself_stands_or_not(standing: Standing) -> None:
    standing.change(1, ("party", READER), "drift")

    assert standing.of_party(READER).reason is Reason.WITHDRAWN
    assert standing.of_party(ORCHESTRATOR)
    lost = standing.of_peer(READER)
    assert (lost.allowed, lost.reason, lost.detail) == (False, Reason.PEER_WITHDRAWN, f"party {READER}: drift")
    assert standing.of_peer(ORCHESTRATOR)
    standing.forget()
    assert standing.of_peer(ORCHESTRATOR).reason is Reason.STANDING_UNKNOWN


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


# what was issued before a time


@pytest.mark.parametrize(("begun_at", "good"), [(0, False), (99, False), (100, False), (101, True), (10**10, True)])
def test_what_was_issued_before_a_time_or_at_it_is_withdrawn(standing: Standing, begun_at: int, good: bool) -> None:
    caller = replace(CALLER, begun_at=begun_at)
    standing.change(1, ("before", "100"), "the realm's not-before")

    assert bool(standing.of(caller)) is good
    if not good:
        assert standing.of(caller) == Decision(
            allowed=False, reason=Reason.WITHDRAWN, detail="begun before 100: the realm's not-before"
        )


def test_the_latest_of_several_times_counts_in_whatever_order_they_came(standing: Standing) -> None:
    for number, name in enumerate(("100", "20", "9"), 1):  # as words, 9 would be the latest
        standing.change(number, ("before", name), "the realm's not-before")

    assert not standing.of(replace(CALLER, begun_at=100))
    assert standing.of(replace(CALLER, begun_at=101))

    assert standing.withdrawn == {("before", "100"): "the realm's not-before"}  # which covers the others
    standing.replace(5, {})
    assert standing.of(replace(CALLER, begun_at=0))


@pytest.mark.parametrize(
    ("whose", "concerned"),
    [
        ("alice", True),
        (f"alice {READER}", True),
        (f"alice {ORCHESTRATOR}", True),
        ("alice walkthrough", True),
        ("bob", False),
        (f"bob {READER}", False),
        ("alice zt", False),
        ("walkthrough", False),
        (READER, False),
    ],
)
def test_a_time_may_be_for_one_user_and_for_one_party_in_their_chain(
    standing: Standing, whose: str, concerned: bool
) -> None:
    told: list[Decision] = []
    with standing.watching(CALLER, told.append):
        standing.change(1, ("before", f"0 {whose}"), "too many")

    assert bool(standing.of(CALLER)) is not concerned
    assert len(told) == concerned
    assert standing.of(replace(CALLER, begun_at=1))


def test_a_later_time_for_the_same_tokens_takes_the_place_of_the_one_before(standing: Standing) -> None:
    names = ["3 alice", "5", "4 bob", "5 alice", "6 alice reader"]
    for number, name in enumerate([*names, "4 alice", "1"], 1):
        standing.change(number, ("before", name), "too many")

    assert list(standing.withdrawn) == [("before", name) for name in names[1:]]


@pytest.mark.parametrize("name", ["", "x", " alice", "1 alice reader writer"])
def test_what_names_no_time_is_not_taken_for_one(standing: Standing, name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        standing.change(1, ("before", name), "nonsense")
    assert standing.number == 0


def test_a_time_takes_nothing_from_who_comes_without_a_token(standing: Standing) -> None:
    standing.change(1, ("before", "100"), "the realm's not-before")

    assert standing.of_party(READER)


# whoever is watched


def test_who_watches_a_caller_is_told_once_and_at_once_when_it_is_withdrawn(standing: Standing) -> None:
    told: list[Decision] = []

    with standing.watching(CALLER, told.append):
        standing.change(1, ("user", "bob"), "another's")
        assert told == []
        standing.change(2, ("token", "T1"), "a theft")
        assert told == [Decision(allowed=False, reason=Reason.WITHDRAWN, detail="token T1: a theft")]
        standing.change(3, ("user", "alice"), "a theft")
        standing.change(4, ("token", "T1"), None)
        standing.change(5, ("token", "T1"), "again")

    assert len(told) == 1


def test_who_watches_is_told_of_the_whole_state_too(standing: Standing) -> None:
    told: list[Decision] = []

    with standing.watching(CALLER, told.append):
        standing.replace(7, {("user", "bob"): "another's"})
        assert told == []
        standing.replace(8, {("session", "session-1"): "a logout"})

    assert [decision.detail for decision in told] == ["session session-1: a logout"]


def test_who_watches_no_more_is_told_nothing_and_what_it_does_then_is_its_own_affair(standing: Standing) -> None:
    told: list[Decision] = []

    with standing.watching(CALLER, told.append):
        pass
    with pytest.raises(ValueError, match="broken"), standing.watching(CALLER, told.append):
        raise ValueError("broken")
    standing.change(1, ("user", "alice"), "a theft")

    assert told == []
    assert standing._watches == {}


def test_each_of_many_who_watch_is_told_of_its_own_caller_alone(standing: Standing) -> None:
    told: dict[str, list[Decision]] = {"first": [], "second": [], "bob": []}

    with (
        standing.watching(CALLER, told["first"].append),
        standing.watching(CALLER, told["second"].append),
        standing.watching(replace(CALLER, subject="bob"), told["bob"].append),
    ):
        standing.change(1, ("user", "alice"), "a theft")

    assert {name: len(decisions) for name, decisions in told.items()} == {"first": 1, "second": 1, "bob": 0}


def test_two_calls_are_two_though_nothing_tells_them_apart(standing: Standing) -> None:
    told: list[Decision] = []

    with standing.watching(CALLER, told.append), standing.watching(CALLER, told.append):
        standing.change(1, ("user", "alice"), "a theft")

    assert len(told) == 2


def test_silence_tells_nobody_that_somebody_was_withdrawn(standing: Standing, clock: Clock) -> None:
    told: list[Decision] = []

    with standing.watching(CALLER, told.append):
        clock.now += 1e6
        standing.forget()
        standing.change(1, ("user", "bob"), "another's")

    assert told == []


def test_who_watches_somebody_who_is_withdrawn_already_is_told_so_at_once(standing: Standing) -> None:
    told: list[Decision] = []
    standing.change(1, ("user", "alice"), "a theft")

    with standing.watching(CALLER, told.append):
        assert [decision.detail for decision in told] == ["user alice: a theft"]
        standing.change(2, ("session", "session-1"), "a theft")

    assert len(told) == 1


# the whole state, in parts


def test_nothing_of_a_state_counts_before_its_last_part(standing: Standing, clock: Clock) -> None:
    told: list[Decision] = []
    with standing.watching(CALLER, told.append):
        standing.replace(7, {("user", "alice"): "a theft"}, 1, 3)
        standing.replace(7, {("user", "bob"): "a theft"}, 2, 3)
        assert (standing.number, standing.withdrawn, told) == (0, {}, [])
        assert standing.of(CALLER)
        clock.now += 4
        with pytest.raises(Gap):
            standing.confirm(7, 0.0)
        assert standing.of(CALLER).reason is Reason.STANDING_UNKNOWN

        standing.replace(7, {("user", "carol"): "a theft"}, 3, 3)

    assert [decision.detail for decision in told] == ["user alice: a theft"]
    assert list(standing.withdrawn) == [("user", name) for name in ("alice", "bob", "carol")]
    assert standing.number == 7


@pytest.mark.parametrize(
    "parts",
    [[(7, 2, 2)], [(7, 1, 3), (7, 3, 3)], [(7, 1, 2), (8, 2, 2)], [(7, 1, 3), (7, 2, 2)], [(7, 1, 1), (7, 2, 2)]],
    ids=["no first", "one missing", "of another state", "of fewer", "after the last"],
)
def test_a_part_that_is_not_the_next_one_is_a_gap(standing: Standing, parts: list[tuple[int, int, int]]) -> None:
    *first, (number, part, of) = parts
    for one in first:
        standing.replace(one[0], {}, *one[1:])
    with pytest.raises(Gap):
        standing.replace(number, {("user", "alice"): "a theft"}, part, of)

    assert standing.of(CALLER)


def test_a_state_that_is_begun_anew_has_nothing_of_the_one_that_was_broken_off(standing: Standing) -> None:
    standing.replace(7, {("user", "alice"): "a theft"}, 1, 2)
    standing.replace(7, {("user", "bob"): "a theft"}, 1, 2)
    standing.replace(7, {}, 2, 2)

    assert list(standing.withdrawn) == [("user", "bob")]


# what is forgotten


@pytest.mark.parametrize("subject", [*WITHDRAWN, ("before", "5"), ("before", "5 alice")], ids=" ".join)
def test_what_ends_by_itself_is_forgotten_when_no_token_of_its_can_be_alive_and_nothing_else_is(
    standing: Standing, clock: Clock, subject: Subject
) -> None:
    standing.change(1, subject, "a theft")
    clock.now += lasts(subject) or max(KEPT.values())
    standing.change(2, ("user", "bob"), "another's")
    assert standing.of(CALLER).reason is Reason.WITHDRAWN  # to the second

    clock.now += 0.001
    standing.change(3, ("user", "carol"), "another's")
    standing.confirm(3, 0.0)

    passes = subject[0] in KEPT or subject == ("before", "5 alice")
    assert bool(standing.of(CALLER)) is passes is (lasts(subject) is not None)
    assert ("user", "bob") in standing.withdrawn


def test_a_token_is_remembered_for_longer_than_anything_that_was_derived_from_it_can_live() -> None:
    assert KEPT["token"] > LONGEST_LIFE + CLOCK_SKEW + TICK
    with pytest.raises(ValidationError):
        Party(kind="workload", life=LONGEST_LIFE + 1)


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_is_withdrawn_once_more_is_remembered_from_then_on(
    standing: Standing, clock: Clock, forgotten: bool
) -> None:
    standing.change(1, ("session", "session-1"), "Keycloak was away")
    clock.now += KEPT["session"] + 1 if forgotten else KEPT["session"] - 1
    standing.change(2, ("user", "bob"), "another's")

    standing.change(3, ("session", "session-1"), "once more")
    clock.now += KEPT["session"]
    standing.change(4, ("user", "carol"), "another's")

    assert standing.of(CALLER).detail == "session session-1: once more"


def test_what_was_withdrawn_once_more_keeps_nothing_else_from_being_forgotten(standing: Standing, clock: Clock) -> None:
    for number, session in enumerate(("first", "second", "first"), 1):
        standing.change(number, ("session", session), "x")
        clock.now += 10
    clock.now += KEPT["session"] - 15
    standing.change(4, ("user", "bob"), "another's")

    assert ("session", "first") in standing.withdrawn
    assert ("session", "second") not in standing.withdrawn


@pytest.mark.parametrize("kind", ["user", "party"])
def test_what_stays_until_it_is_reinstated_stays_whatever_its_name(kind: Kind) -> None:
    assert lasts((kind, "1 alice")) is None


def test_what_the_whole_state_names_is_remembered_from_then_on(standing: Standing, clock: Clock) -> None:
    standing.change(1, ("token", "T1"), "a theft")
    clock.now += KEPT["token"] - 1
    standing.replace(5, {("token", "T1"): "once more, as nobody here has heard"})
    clock.now += KEPT["token"]
    standing.change(6, ("user", "bob"), "another's")

    assert standing.of(CALLER).reason is Reason.WITHDRAWN


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


@pytest.mark.parametrize("subject", [*WITHDRAWN, ("before", "5 alice")], ids=" ".join)
def test_a_change_touches_what_it_names_however_much_is_withdrawn_and_watched(
    standing: Standing, clock: Clock, subject: Subject
) -> None:
    looks, told = [], list[Decision]()
    for many in 10, 10_000:
        kinds: tuple[Kind, ...] = ("session", "token")
        standing.replace(many, {(kinds[n % 2], f"other-{n}"): "x" for n in range(many)})
        others = replace(CALLER, subject="bob", session="s", token_id="T", lineage=(), actors=(), client="c")
        with ExitStack() as stack:
            for number in range(100):
                stack.enter_context(standing.watching(replace(others, token_id=f"watched-{number}"), told.append))
            stack.enter_context(standing.watching(CALLER, told.append))
            causes, watches = Counting(standing._all.causes), Counting(standing._watches)
            since = Counting(standing._all.since)
            standing._all.causes, standing._all.since, standing._watches = causes, since, watches
            standing.change(many + 1, subject, "a theft")
            looks.append((causes.looks, since.looks, watches.looks))
            standing._watches = dict(dict.items(watches))
        assert len(told) == 1
        told.clear()

    assert looks[0] == looks[1]
    assert sum(looks[0]) < 50


def test_however_much_passes_at_once_a_change_forgets_a_bounded_part_of_it(standing: Standing, clock: Clock) -> None:
    standing.replace(0, {("token", str(number)): "x" for number in range(10 * MOST_FORGOTTEN)})
    clock.now += KEPT["token"] + 1
    left = []
    for number in range(1, 12):
        standing.change(number, ("user", "bob"), "x")
        left.append(len(standing.withdrawn) - 1)

    assert left == [*range(9 * MOST_FORGOTTEN, -1, -MOST_FORGOTTEN), 0]


SUBJECTS = st.sampled_from(
    [
        *WITHDRAWN,
        *((kind, name) for kind, name in (("user", "bob"), ("session", "session-2"))),
        *(
            ("before", name)
            for name in ("-5", "0", "10", "-5 alice", "0 alice", "10 alice", "10 bob", f"0 alice {READER}")
        ),
    ]
)


def loses(subject: Subject) -> bool:
    """Whether the caller falls with it; its token was issued at 0."""
    if subject[0] != "before":
        return subject in WITHDRAWN
    until, whose = time_of(subject)
    return until >= 0 and (not whose or whose[0] == "alice")


def tell(story: dict[Subject, str], subject: Subject, cause: str | None) -> None:
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
    """A registry that withdraws and reinstates, lines that get lost, and what a party makes of the rest."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock(1000.0)
        self.standing = Standing(clock=self.clock)
        self.number = 0
        self.withdrawn: dict[Subject, str] = {}  # as the registry has it
        self.known: dict[Subject, str] = {}  # as far as it was heard here
        self.passing: dict[Subject, float] = {}  # since when, of what is forgotten after a while
        self.heard: int | None = None
        self.whole = False
        self.good_until = float("-inf")
        self.since: dict[Subject, float] = {}
        self.last: dict[Subject, float] = {}
        self.old: list[tuple[int, dict[Subject, str]]] = []
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

    def knows_all(self, number: int, withdrawn: dict[Subject, str]) -> None:
        self.known, self.heard, self.whole = dict(withdrawn), number, True
        self.passing = {subject: self.clock.now for subject in withdrawn if lasts(subject)}
        self.applied()

    @rule(subject=SUBJECTS, back=st.booleans(), lost=st.booleans())
    def change(self, subject: Subject, *, back: bool, lost: bool) -> None:
        self.old.append((self.number, dict(self.withdrawn)))
        self.number += 1
        cause = None if back else f"cause {self.number}"
        for story in (self.withdrawn,) if lost or self.heard != self.number - 1 else (self.withdrawn, self.known):
            tell(story, subject, cause)
        if back:
            self.since.pop(subject, None)
        else:
            self.since.setdefault(subject, self.clock.now)
            self.last[subject] = self.clock.now
        if lost:
            return
        if self.heard == self.number - 1:
            self.standing.change(self.number, subject, cause)
            self.heard = self.number
            self.passing.pop(subject, None)
            self.passing = {known: since for known, since in self.passing.items() if known in self.known}
            if subject in self.known and lasts(subject):
                self.passing[subject] = self.clock.now
            self.applied()
        else:
            with pytest.raises(Gap):
                self.standing.change(self.number, subject, cause)

    @rule()
    def state(self) -> None:
        self.standing.replace(self.number, self.withdrawn)
        self.knows_all(self.number, self.withdrawn)

    @precondition(lambda self: self.old)
    @rule(data=st.data())
    def old_state(self, data: Any) -> None:
        number, withdrawn = data.draw(st.sampled_from(self.old))
        if self.heard is not None and number < self.heard:
            with pytest.raises(Gap):
                self.standing.replace(number, withdrawn)
        else:
            self.standing.replace(number, withdrawn)
            self.knows_all(number, withdrawn)

    @rule(oldest=st.floats(0, 10))
    def heartbeat(self, oldest: float) -> None:
        if self.heard == self.number and self.whole:
            self.standing.confirm(self.number, oldest)
            self.good_until = self.clock.now + 3.0 - oldest
        else:
            with pytest.raises(Gap):
                self.standing.confirm(self.number, oldest)

    @rule(seconds=st.one_of(st.floats(0, 5), *(st.floats(kept - 5, kept + 5) for kept in KEPT.values())))
    def silence(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def forget(self) -> None:
        self.standing.forget()
        self.whole, self.good_until = False, float("-inf")

    @rule()
    def watch(self) -> None:
        told: list[Decision] = []
        watching = self.standing.watching(CALLER, told.append)
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
    def it_says_what_it_was_told(self) -> None:
        stands_on = [s for s in self.known if loses(s)]
        answer = self.standing.of(CALLER)
        if stands_on:
            assert answer.reason is Reason.WITHDRAWN
            assert any(answer.detail.endswith(f": {self.known[s]}") for s in stands_on)
        else:
            assert answer.allowed is (self.clock.now <= self.good_until)
        assert self.standing.number == self.heard

    @invariant()
    def who_watches_was_told_once_of_every_loss_and_of_nothing_else(self) -> None:
        assert [len(told) for told in self.told] == [len(expected) for expected in self.to_be_told]
        assert all(decision.reason is Reason.WITHDRAWN for told in self.told for decision in told)

    @invariant()
    def it_remembers_no_more_than_the_model(self) -> None:
        assert self.standing.withdrawn == self.known

    @invariant()
    def nobody_is_let_in_longer_than_the_bound_after_being_withdrawn(self) -> None:
        """But for sessions and tokens so long after that none of theirs can be alive."""
        if self.standing.of(CALLER):
            for subject in filter(loses, self.since):
                dead = self.clock.now - self.last[subject] > (lasts(subject) or float("inf"))
                assert dead or self.clock.now - self.since[subject] <= self.standing.bound


Told.TestCase.settings = settings(max_examples=80, stateful_step_count=40)
TestWhatAPartyMakesOfWhatItIsTold = Told.TestCase
