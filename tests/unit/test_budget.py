"""What one transaction may spend on the model."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from inference.budget import CAPACITY, MAX_CALLS, MAX_TOKENS, OF_A_CALLER, OF_A_USER, Budgets, BudgetSpent, Shares
from inference.chat import ModelReason
from testkit.party import principal
from tests.support.door import Clock
from zerotrust.decision import Denied
from zerotrust.dialect import Form
from zerotrust.identity import Principal
from zerotrust.transport.responses import headers_of

NOW = 1_800_000_000.0


def caller(transaction: str = "root", number: int = 1) -> Principal:
    return replace(principal(), lineage=(transaction, "t1"), token_id=f"t2-{number}", chain_started_at=int(NOW))


@pytest.fixture
def budgets() -> Budgets:
    return Budgets(Clock(NOW))


def spent(budgets: Budgets, who: Principal) -> bool:
    try:
        budgets.enter(who)
    except BudgetSpent:
        return True
    return False


def test_what_a_transaction_may_spend_has_an_end(budgets: Budgets) -> None:
    calls = [spent(budgets, caller(number=number)) for number in range(MAX_CALLS + 1)]
    assert calls == [False] * MAX_CALLS + [True]

    budgets.enter(caller("another"))
    budgets.spend(caller("another"), MAX_TOKENS - 1)
    assert not spent(budgets, caller("another"))
    budgets.spend(caller("another"), 1)
    assert spent(budgets, caller("another"))
    assert not spent(budgets, caller("a third"))


def test_who_has_spent_all_is_not_told_to_come_again(budgets: Budgets) -> None:
    budgets.enter(caller())
    budgets.spend(caller(), MAX_TOKENS)
    with pytest.raises(BudgetSpent) as refused:
        budgets.enter(caller())

    assert refused.value.reason is ModelReason.BUDGET_SPENT
    assert headers_of(refused.value, Form()) == []
    assert "new token" in str(refused.value.advice)


def test_only_so_many_transactions_are_remembered(budgets: Budgets) -> None:
    for number in range(CAPACITY + 1):
        budgets.enter(caller(str(number)))

    assert len(budgets._spent) == CAPACITY


def test_a_users_calls_are_a_part_of_an_agents_and_an_agents_a_part_of_all() -> None:
    def refused(caller: str, user: str) -> bool:
        try:
            under_way.enter_context(shares.one_more(caller, user))
        except Denied as refusal:
            return refusal.reason is ModelReason.MODEL_BUSY
        return False

    shares = Shares()
    with ExitStack() as under_way:
        for user in "mallory", "trudy":
            assert [refused("reader", user) for _ in range(OF_A_USER + 1)] == [False] * OF_A_USER + [True]
        assert not refused("reader", "alice")
        assert not refused("writer", "mallory")
        others = OF_A_CALLER - 2 * OF_A_USER - 1
        assert [refused("reader", f"user-{n}") for n in range(others + 1)] == [False] * others + [True]

    with ExitStack() as under_way:  # what was refused is not counted either
        assert [refused("reader", "alice") for _ in range(OF_A_USER + 1)] == [False] * OF_A_USER + [True]
