"""What a refused caller sees: one answer for each reason, and no word that came from the caller."""

from importlib import import_module

import pytest

from authorities.registry.reasons import RegistryReason
from inference.chat import ModelReason
from tests.support.system import ROOT
from zerotrust.decision import BEFORE_SIGNATURE, Denied, Reason, ReasonCode
from zerotrust.errors import ZeroTrustError
from zerotrust.transport.responses import headers_of

ALL: list[ReasonCode] = [*Reason, *RegistryReason, *ModelReason]


def test_no_reason_is_named_twice_and_each_is_a_word() -> None:
    assert len({str(reason) for reason in ALL}) == len(ALL)
    assert [reason for reason in ALL if reason.value != reason.name.lower()] == []


def test_every_exception_of_the_library_has_one_root() -> None:
    files = [file.relative_to(ROOT).with_suffix("") for file in (ROOT / "zerotrust").rglob("*.py")]
    modules = [import_module(".".join(file.parts)) for file in files]
    errors = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, BaseException) and kind.__module__.startswith("zerotrust.")
    }

    assert len(errors) >= 10
    assert [kind for kind in errors if not issubclass(kind, ZeroTrustError)] == []


def test_the_detail_is_for_record_and_log_and_not_for_the_caller() -> None:
    refusal = Denied(Reason.BAD_CLAIM, "what the caller sent")

    assert (str(Denied(Reason.EXPIRED)), str(refusal)) == ("expired", "bad_claim: what the caller sent")
    assert b"caller sent" not in b"".join(value for _, value in headers_of(refusal))


@pytest.mark.parametrize(
    ("refusal", "url", "expected"),
    [
        (Denied(Reason.NO_TOKEN), None, "Bearer realm"),
        (Denied(Reason.NO_TOKEN, scope="a.b"), None, 'Bearer realm, scope="a.b"'),
        (Denied(Reason.NO_TOKEN), "http://x/y", 'Bearer realm, resource_metadata="http://x/y"'),
        (Denied(Reason.EXPIRED), None, 'Bearer realm, error="invalid_token"'),
        (Denied(Reason.MALFORMED_CREDENTIALS), None, 'Bearer realm, error="invalid_request"'),
        (Denied(Reason.SCOPE_MISSING, scope="a c"), None, 'Bearer realm, error="insufficient_scope", scope="a c"'),
        (Denied(Reason.POLICY_DENIED), None, None),
        (Denied(Reason.BODY_TOO_LARGE), None, None),
        (Denied(Reason.KEYS_UNAVAILABLE), None, None),
    ],
)
def test_the_challenge_is_rfc_6750s_and_says_where_to_find_out_more(
    refusal: Denied, url: str | None, expected: str | None
) -> None:
    challenge = dict(headers_of(refusal, url)).get(b"www-authenticate")

    assert challenge == (expected and expected.replace("realm", 'realm="zero-trust"').encode())


def test_what_cannot_be_decided_says_when_to_come_back() -> None:
    for reason in (Reason.JOURNAL_UNAVAILABLE, Reason.BUSY, Reason.TOO_MANY_REQUESTS):
        assert dict(headers_of(Denied(reason))) == {b"retry-after": b"1"}


@pytest.mark.parametrize("reason", sorted(BEFORE_SIGNATURE))
def test_before_the_signature_is_known_to_be_good_every_failure_looks_the_same(reason: Reason) -> None:
    assert Denied(reason).public_reason is Reason.NOT_VERIFIED
    assert headers_of(Denied(reason)) == headers_of(Denied(Reason.BAD_SIGNATURE))
    assert Denied(reason).status == Denied(Reason.BAD_SIGNATURE).status
