"""The one media type that a door takes."""

import json

import pytest

from inference.chat import OPENAI
from zerotrust.decision import Denied, Reason
from zerotrust.dialect import PLAIN, Dialect, Form
from zerotrust.transport.jsonrpc import JSON_RPC
from zerotrust.transport.responses import problem

JSON_ONLY = Dialect(PLAIN.error_body, media_type=b"application/json")


@pytest.mark.parametrize("value", [b"application/json", b"Application/JSON", b"application/json; charset=utf-8"])
def test_the_media_type_counts_whatever_its_parameters(value: bytes) -> None:
    JSON_ONLY.check([(b"content-type", value)])


@pytest.mark.parametrize("values", [[], [b"text/plain"], [b"application/json+x"], [b""], [b"application/json"] * 2])
def test_any_other_or_none_or_two_is_refused(values: list[bytes]) -> None:
    with pytest.raises(Denied) as refused:
        JSON_ONLY.check([(b"content-type", value) for value in values])

    assert refused.value.reason is Reason.UNSUPPORTED_CONTENT


@pytest.mark.parametrize("dialect", [PLAIN, JSON_RPC, OPENAI])
def test_every_dialect_sends_the_advice_and_the_choices(dialect: Dialect) -> None:
    more = {"departments": ["/engineering", "/finance"]}
    refusal = Denied(Reason.DEPARTMENT_NEEDED, "for the record", advice="Name one.", more=more)
    sent = json.dumps(dialect.error_body(refusal, problem(refusal, "0" * 32), Form()))

    assert json.dumps(more).strip("{}") in sent
    assert "Name one." in sent
    assert "for the record" not in sent
