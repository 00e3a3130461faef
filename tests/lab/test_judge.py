"""What the judge of a load run holds to be right and wrong."""

import math

import pytest

from lab.load.judge import MARGIN, NO, Ban, Call, Evidence, Session

MINE, OTHER = Session("alice", "S1"), Session("alice", "S2")


def call(sent: float, answer: str = "200 ok", *, session: Session = MINE, target: str = "inference") -> Call:
    return Call(session, target, sent, sent + 0.5, answer)


def logout(since: float = 10, until: float = math.inf) -> Ban:
    return Ban("logout", lambda call: call[:2] == (MINE, "inference"), asked=9, since=since, until=until)


@pytest.mark.parametrize("ban", [logout(), logout(until=20)])
def test_a_yes_after_the_bound_is_a_violation(ban: Ban) -> None:
    found = ["inference answered 200 ok to alice, 4.00 s after: logout"]

    assert list(Evidence(bound=3, calls=[call(14)], revocations=[ban]).violations()) == found
    assert list(Evidence(bound=3, calls=[call(14)], silences=[ban]).violations()) == found


@pytest.mark.parametrize("answer", ["200 -32600", "404 not_found", "500 internal", "403 policy_denied"])
def test_whatever_is_not_known_to_be_a_no_is_a_yes(answer: str) -> None:
    assert len(list(Evidence(bound=3, calls=[call(14, answer)], revocations=[logout()]).violations())) == 1


@pytest.mark.parametrize(
    ("made", "ban"),
    [
        *((call(14, answer), logout()) for answer in NO),
        (call(9), logout()),
        (call(13 + MARGIN - 0.01), logout()),
        (call(14), logout(until=14.2)),
        (call(14), logout(since=math.inf)),  # nobody acknowledged it
        (call(14, session=OTHER), logout()),
        (call(14, target="orchestrator"), logout()),
    ],
)
def test_a_no_and_what_came_before_or_within_the_bound_or_was_reinstated_or_is_anothers_is_none(
    made: Call, ban: Ban
) -> None:
    assert list(Evidence(bound=3, calls=[made], revocations=[ban]).violations()) == []


def test_the_worst_delay_is_that_of_the_last_yes() -> None:
    evidence = Evidence(bound=3, calls=[call(9), call(11), call(10.5), call(12, NO[0])], revocations=[logout()])

    assert evidence.delays(evidence.acknowledged) == {"logout": 1.0}
