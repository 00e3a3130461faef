"""The fixture `zt_operator`: a party operates, in a container for one command, and does what its registration names."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from testkit.stack import Stack, StackError
from testkit.users import User
from tests.support.system import ROOT
from zt.policy.folder import read

pytestmark = pytest.mark.compose
ITSELF = "spiffe://agents.example/automation/ci"
Operator = Callable[..., dict[str, Any]]
TASK = {"request": "Summarise the incident reports."}


def test_it_suspends_and_reinstates_a_party_and_is_on_record_as_what_it_is(zt_operator: Operator) -> None:
    suspended = zt_operator("party", "suspend", "agent/writer", "--because", "a test")
    reinstated = zt_operator("party", "reinstate", "agent/writer")

    assert (suspended["party"]["state"], suspended["party"]["cause"]) == ("suspended", f"a test (operator {ITSELF})")
    assert reinstated["party"]["state"] == "active"


def test_it_revokes_a_session(zt_operator: Operator, zt_user: Callable[[str], User]) -> None:
    alice = zt_user("alice")
    session = jwt.decode(alice.token, options={"verify_signature": False})["sid"]

    zt_operator("revoke", "session", session, "--in-advance", "--because", "a test")

    assert alice.send("orchestrator", "/tasks", json=TASK).json()["reason"] == "revoked"


def test_it_activates_policies_from_its_input_and_goes_back(zt_operator: Operator) -> None:
    content = read(ROOT / "policies")
    content["policies"]["operators.cedar"] += "// A test.\n"

    activated = zt_operator("policy", "activate", "-", "--because", "a test", given=json.dumps(content))
    try:
        assert activated["by"] == ITSELF
    finally:
        number = str(activated["number"] - 1)
        back = zt_operator("policy", "rollback", number, "--because", "the test has ended")
    assert back["of"] == activated["number"] - 1


@pytest.mark.parametrize("words", [("party", "list"), ("reload",), ("revocations",)])
def test_what_is_for_people_it_does_not_get(zt_operator: Operator, words: tuple[str, ...]) -> None:
    with pytest.raises(StackError, match="scope_missing"):
        zt_operator(*words)


def test_it_is_no_other_party_and_no_party_if_it_runs_anything_else(zt_operator: Operator, stack: Stack) -> None:
    suspend = "party", "suspend", "agent/writer", "--because", "a test"
    with pytest.raises(StackError, match="not_operating"):
        zt_operator("--as", "agent/reader", *suspend)
    with pytest.raises(StackError, match="no identity issued"):
        stack.run(
            *("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "--workdir", "/app", "automation"),
            *("-B", "-m", "zt", *suspend),
        )
    assert "it was started as" in stack.refusals()[-1]
