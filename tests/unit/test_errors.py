"""What a refused caller sees: one answer for each reason, and no word that came from the caller."""

import pytest

from tests.support.door import Door
from tests.support.issuer import Issuer
from zerotrust.errors import ANSWERS, BEFORE_SIGNATURE, Refusal
from zerotrust.policy import Reason


def test_every_reason_to_refuse_has_an_answer() -> None:
    # NOT_VERIFIED is what a caller is told, never what happened.
    assert set(Reason) - set(ANSWERS) == {Reason.GRANTED, Reason.NOT_VERIFIED}


@pytest.mark.parametrize("reason", ANSWERS)
def test_an_answer_is_one_of_rfc_6750s_or_says_that_nothing_can_be_said(reason: Reason) -> None:
    assert ANSWERS[reason] in {
        (401, None),
        (400, "invalid_request"),
        (408, "invalid_request"),
        (409, "invalid_request"),  # to an operator: not while things are as they are
        (404, "invalid_request"),  # no such method, in JSON-RPC
        (413, "invalid_request"),
        (415, "invalid_request"),
        (421, "invalid_request"),
        (429, "temporarily_unavailable"),
        (401, "invalid_token"),
        (403, "insufficient_scope"),
        (403, "access_denied"),
        (500, "server_error"),
        (503, "temporarily_unavailable"),
    }


def test_what_is_logged_of_a_refusal_names_reason_and_detail() -> None:
    assert str(Refusal(Reason.EXPIRED)) == "expired"
    assert str(Refusal(Reason.BAD_CLAIM, "exp")) == "bad_claim: exp"


def challenge(refusal: Refusal, url: str | None = None) -> str:
    return dict(refusal.headers(url)).get(b"www-authenticate", b"").decode()


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (Refusal(Reason.NO_TOKEN), 'Bearer realm="zero-trust"'),
        (Refusal(Reason.NO_TOKEN, scope="a.b"), 'Bearer realm="zero-trust", scope="a.b"'),
        (Refusal(Reason.EXPIRED), 'Bearer realm="zero-trust", error="invalid_token"'),
        (Refusal(Reason.MALFORMED_CREDENTIALS), 'Bearer realm="zero-trust", error="invalid_request"'),
        (
            Refusal(Reason.SCOPE_MISSING, scope="a.b c.d"),
            'Bearer realm="zero-trust", error="insufficient_scope", scope="a.b c.d"',
        ),
        (Refusal(Reason.POLICY_DENIED), ""),
        (Refusal(Reason.BODY_TOO_LARGE), ""),
        (Refusal(Reason.KEYS_UNAVAILABLE), ""),
    ],
)
def test_the_challenge_is_rfc_6750s(refusal: Refusal, expected: str) -> None:
    assert challenge(refusal) == expected


def test_a_challenge_says_where_to_find_out_more_where_that_is_told() -> None:
    assert challenge(Refusal(Reason.NO_TOKEN), "http://x/y").endswith(', resource_metadata="http://x/y"')


def test_what_cannot_be_decided_says_when_to_come_back() -> None:
    for reason in (Reason.JOURNAL_UNAVAILABLE, Reason.BUSY, Reason.TOO_MANY_REQUESTS):
        assert dict(Refusal(reason).headers()) == {b"retry-after": b"1"}


def test_the_detail_is_for_the_record_and_not_for_the_caller() -> None:
    refusal = Refusal(Reason.BAD_CLAIM, "what the caller sent")

    assert b"caller sent" not in b"".join(value for _, value in refusal.headers())


@pytest.mark.parametrize("reason", sorted(BEFORE_SIGNATURE))
def test_before_the_signature_is_known_to_be_good_every_failure_looks_the_same(reason: Reason) -> None:
    assert Refusal(reason).told is Reason.NOT_VERIFIED
    assert Refusal(reason).headers() == Refusal(Reason.BAD_SIGNATURE).headers()
    assert ANSWERS[reason] == ANSWERS[Reason.BAD_SIGNATURE]


async def test_through_the_gate_they_are_the_same_byte_for_byte_but_for_the_trace(
    door: Door, still_issuer: Issuer
) -> None:
    good = still_issuer.token()
    spoiled = [
        "not.a.token",
        still_issuer.token(header={"kid": "another"}),
        still_issuer.token(header={"typ": "JWT"}),
        still_issuer.token(header={"jku": "http://evil.test"}),
        f"{good[:-8]}AAAAAAAA",
        f"{good.partition('.')[0]}.e30.{good.rpartition('.')[2]}",
    ]

    replies = [await door.ask(token) for token in spoiled]

    seen = {
        (reply.status, reply.headers["www-authenticate"], reply.body.replace(reply.json()["trace_id"].encode(), b""))
        for reply in replies
    }
    assert len(seen) == 1
    assert len({reply.json()["trace_id"] for reply in replies}) == len(replies)
    assert door.handled == []
