"""Refusals in JSON-RPC: the codes, the id, and nothing of the caller's but that."""

from typing import Any

import a2a.utils.errors
import mcp_types.jsonrpc
import pytest

from zerotrust.decision import Denied, Reason
from zerotrust.dialect import Form
from zerotrust.transport.jsonrpc import DENIED, UNAUTHENTICATED, UNAVAILABLE, code, error_body, request_id

OURS = {UNAUTHENTICATED, DENIED, UNAVAILABLE}


def test_our_own_codes_mean_nothing_else_in_either_protocol() -> None:
    mcp = {value for value in vars(mcp_types.jsonrpc).values() if isinstance(value, int)}
    a2a_codes = set(a2a.utils.errors.JSON_RPC_ERROR_CODE_MAP.values())

    assert OURS.isdisjoint(mcp | a2a_codes | {-32002, -32042})  # the last two are retired
    assert all(-32019 <= ours <= -32000 for ours in OURS)  # what MCP leaves to implementations


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.NO_TOKEN, UNAUTHENTICATED),
        (Reason.REVOKED, UNAUTHENTICATED),
        (Reason.SCOPE_MISSING, DENIED),
        (Reason.NO_PERMISSION_FOR_ROUTE, DENIED),
        (Reason.WRONG_ORIGIN, DENIED),
        (Reason.REVOCATION_UNKNOWN, UNAVAILABLE),
        (Reason.ANSWER_LOST, UNAVAILABLE),
        (Reason.UNKNOWN_METHOD, -32601),
        (Reason.LEGACY_ERA, -32022),
        (Reason.UNSUPPORTED_CONTENT, -32005),
        (Reason.MALFORMED_BODY, -32600),
        (Reason.MALFORMED_HEADERS, -32600),
        (Reason.WRONG_HOST, -32600),
        (Reason.BODY_TOO_LARGE, -32600),
        (Reason.FAILED, -32603),
    ],
)
def test_each_kind_of_refusal_has_its_code(reason: Reason, expected: int) -> None:
    assert code(Denied(reason), parsed=True) == expected


def test_a_body_that_was_never_understood_is_a_parse_error_and_nothing_else_is() -> None:
    assert [r for r in Reason if code(Denied(r), parsed=False) == -32700] == [Reason.MALFORMED_BODY]
    assert [r for r in Reason if code(Denied(r), parsed=True) == -32700] == []


def test_advice_is_the_message() -> None:
    told = error_body(Denied(Reason.LEGACY_ERA, advice="Use another client."), {"error": "x"}, Form())

    assert told["error"]["message"] == "Use another client."


@pytest.mark.parametrize("bad", [None, True, 1.5, [], {}, "x" * 101, 10**100])
def test_any_other_id_is_not(bad: Any) -> None:
    assert request_id({"id": bad}) is None
    assert request_id({}) is None
