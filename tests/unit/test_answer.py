"""What a refusal of another party says of what was done."""

from typing import Any

import httpx
import pytest

from zerotrust.adapters.answer import LONGEST_REFUSAL, no_effect, refusal_error


@pytest.mark.parametrize(
    ("problem", "sure"),
    [
        ({"reason": "policy_denied"}, True),
        ({"reason": "revoked"}, True),
        ({"reason": "expired"}, True),
        ({"reason": "revoked", "begun": True}, False),
        ({"reason": "expired", "begun": True}, False),
        ({"reason": "revoked", "begun": "?"}, False),
        ({"reason": "peer_revoked"}, True),
        ({"reason": "peer_revoked", "begun": True}, False),
        ({"reason": "failed"}, False),
        ({"reason": "application_error"}, False),
        ({"reason": "answer_lost"}, False),
        ({"reason": ["revoked"]}, False),
        ({"reason": "unheard_of"}, False),
        ({}, False),
    ],
)
def test_a_refusal_before_the_handler_ran_has_touched_nothing_and_a_call_that_was_cut_off_may_have(
    problem: dict[str, Any], sure: bool
) -> None:
    assert no_effect(problem) is sure
    assert refusal_error("tool/documents", httpx.Response(401, json=problem)).unclear is not sure
    in_json_rpc = {"jsonrpc": "2.0", "error": {"data": problem}}
    assert refusal_error("tool/documents", httpx.Response(401, json=in_json_rpc)).unclear is not sure


def test_who_may_have_acted_before_it_was_unavailable_gave_no_answer() -> None:
    for problem, outage in ({"reason": "policy_unavailable"}, "unavailable"), ({}, "no_answer"):
        assert refusal_error("tool/documents", httpx.Response(503, json=problem)).outage == outage


def test_of_a_long_refusal_only_the_beginning_is_told() -> None:
    answer = httpx.Response(401, json={"reason": "x" * 1000})

    assert (
        refusal_error("tool/documents", answer).message == f"tool/documents: refused with 401, {'x' * LONGEST_REFUSAL}…"
    )
