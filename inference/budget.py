"""Limits the model's calls and tokens for one transaction, and the calls at a time for one party.  Pure.

Each call is permitted by itself; without a sum, a compromised agent could call without end while its token is valid.
The sum is that of the user's root token: all agents of the task, and all tasks that the user runs with that token,
share it.  It is never filled up again: the next root token has a sum of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from inference.answer import Reply
from inference.chat import ModelReason
from zerotrust.decision import Denied
from zerotrust.hardening.in_flight import InFlight
from zerotrust.hardening.pools import MAX_CONNECTIONS
from zerotrust.identity import Principal
from zerotrust.limits.bounded import Bounded
from zerotrust.revocation_list import LONGEST_LIFE

MAX_CALLS = 2_000
"""Calls of the model in one transaction: ten tasks at once, of two agents with 16 turns each, six times over."""
MAX_TOKENS = 4_000_000
"""Tokens in one transaction: more than two agents spend that use all that their loop allows (`agent_loop.py`)."""
OF_A_CALLER = MAX_CONNECTIONS // 5
"""Calls of a model server under way for one party.

All share the connections to it.  Three parties ask for models in the demo, and two agents that you add still find a
connection.  A model server seldom answers more at once, and a call waits for its turn there."""
OF_A_USER = OF_A_CALLER // 4
"""Calls of one party for one user.  Three users with many tasks leave a quarter of an agent's share to others."""
CAPACITY = 10_000
"""Transactions that are remembered, at about 0.3 KiB."""
BYTES_PER_TOKEN = 16
"""Bytes that count as at least one token; no tokenizer packs more text into one."""
UNCOUNTED = 4
"""Bytes for each token, where no server has counted."""
UNSAID = 16_384
"""Tokens beyond one for each byte: of a chat's template, and of a model that thinks without saying so.  A failed call
costs as many, because the model's answer is unknown."""


class BudgetSpent(Denied):
    """The transaction has spent its sum, so it does not help to wait."""

    again = False

    def __init__(self, what: str) -> None:
        advice = "This sign-in has used up its budget for the model.  A new token of the user has a budget of its own."
        super().__init__(ModelReason.BUDGET_SPENT, what, advice=advice)


@dataclass(slots=True)
class _Spent:
    until: float
    calls: int = 0
    tokens: int = 0


class Budgets:
    """The spending of each transaction."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._spent = clock, Bounded[str, _Spent](CAPACITY)

    def enter(self, caller: Principal) -> None:
        """Count one call of the model before it is made.  Raises `BudgetSpent`.

        Calls that are under way at once may exceed the sum of tokens by theirs; `in_flight.py` bounds their number.
        """
        now = self._clock()
        while self._spent and next(iter(self._spent.values())).until <= now:
            self._spent.popitem(last=False)
        # No token of a transaction outlives the root token, and that one lives no longer than this.
        spent = self._spent.get(caller.transaction) or _Spent(caller.chain_started_at + LONGEST_LIFE)
        self._spent[caller.transaction] = spent
        if spent.calls >= MAX_CALLS:  # control: model-calls-bounded
            raise BudgetSpent(f"{MAX_CALLS} calls")
        if spent.tokens >= MAX_TOKENS:  # control: model-tokens-bounded
            raise BudgetSpent(f"{MAX_TOKENS} tokens")
        spent.calls += 1

    def spend(self, caller: Principal, tokens: int) -> None:
        if spent := self._spent.get(caller.transaction):
            spent.tokens += max(0, tokens)


class Shares:
    """The calls of a model server that are under way, by the party and the user that they are made for."""

    def __init__(self) -> None:
        self._under_way = InFlight()

    @contextmanager
    def one_more(self, caller: str, user: str) -> Iterator[None]:
        """Count a call, until the block ends.  Raises `Denied` if its caller has too many, in all or for that user.

        `caller`: the party's SPIFFE ID.  `user`: the subject of its token.
        """
        if not self._under_way.take(caller, OF_A_CALLER):  # control: model-connections-shared
            raise Denied(ModelReason.MODEL_BUSY, f"{caller}: {OF_A_CALLER} under way")
        try:
            if not self._under_way.take((caller, user), OF_A_USER):
                raise Denied(ModelReason.MODEL_BUSY, f"{caller}: {OF_A_USER} under way for this user")
            try:
                yield
            finally:
                self._under_way.give_back((caller, user))
        finally:
            self._under_way.give_back(caller)


def tokens(asked: int, reply: Reply | None) -> int:
    """Return what a call costs.  `asked`: the bytes of the request; `reply`: None if the call failed.

    The model's server counts tokens, and is believed within bounds that follow from the bytes of request and answer:
    it may be compromised, or count nothing.
    """
    if not reply:
        return asked // UNCOUNTED + UNSAID  # the model may have worked for it  # control: failed-calls-cost
    functions: list[dict[str, Any]] = [call["function"] for call in reply.calls]
    called = [function[name] for function in functions for name in ("name", "arguments")]
    size = asked + sum(len((text or "").encode()) for text in (reply.content, reply.refusal, *called))
    if not reply.usage:
        return size // UNCOUNTED
    most = min(reply.usage.total, size + UNSAID)  # control: model-tokens-at-most
    return max(most, size // BYTES_PER_TOKEN)  # control: model-tokens-at-least
