"""What a refused caller sees: one answer for each reason, and no word that came from the caller."""

from importlib import import_module
from itertools import pairwise

import pytest
from starlette.exceptions import HTTPException

from authorities.registry.reasons import RegistryReason
from inference.chat import ModelReason
from tests.support.system import ROOT
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.dialect import Form
from zerotrust.errors import ZeroTrustError
from zerotrust.routing import answer_in
from zerotrust.transport.responses import as_denied, headers_of

ALL: list[ReasonCode] = [*Reason, *RegistryReason, *ModelReason]


def test_no_reason_is_named_twice_and_each_is_a_word() -> None:
    assert len({str(reason) for reason in ALL}) == len(ALL)
    assert [reason for reason in ALL if reason.value != reason.name.lower()] == []


def test_a_reason_in_another_form_is_none() -> None:
    with pytest.raises(ValueError, match="lower-case letters"):

        class _Odd(ReasonCode):
            ODD = "two words", (409, "invalid_request")


def test_a_refusal_says_its_detail_to_whoever_logs_it() -> None:
    assert str(Denied(Reason.BAD_CLAIM, "x")) == "bad_claim: x"


def test_a_group_is_answered_as_one_refusal_where_it_has_nothing_else() -> None:
    refusal, bug = Denied(Reason.EXPIRED), ValueError()
    assert answer_in(ExceptionGroup("", [ExceptionGroup("", [refusal, HTTPException(404)])])) is refusal
    assert answer_in(ExceptionGroup("", [refusal, bug])) is None
    assert as_denied(bug).reason is Reason.FAILED


def test_a_refusal_that_a_librarys_exception_was_raised_from_is_the_answer_and_nothing_else_is() -> None:
    def raised(*chain: Exception) -> Exception:
        for error, cause in pairwise(chain):
            error.__cause__ = cause
        return chain[0]

    refusal = Denied(Reason.WOULD_WIDEN)
    assert answer_in(raised(RuntimeError(), ValueError(), refusal)) is refusal
    assert answer_in(raised(RuntimeError(), ExceptionGroup("", [raised(OSError(), refusal)]))) is refusal
    assert answer_in(raised(RuntimeError(), HTTPException(404))) is None
    bug = KeyError()
    bug.__context__ = refusal  # raised while it was handled
    assert answer_in(bug) is None


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
    challenge = dict(headers_of(refusal, Form(url))).get(b"www-authenticate")

    assert challenge == (expected and expected.replace("realm", 'realm="zero-trust"').encode())


def test_what_cannot_be_decided_says_when_to_come_back() -> None:
    for reason in (Reason.JOURNAL_UNAVAILABLE, Reason.BUSY, Reason.TOO_MANY_REQUESTS):
        assert dict(headers_of(Denied(reason), Form())) == {b"retry-after": b"1"}
