"""Who listens in an agent's place, in the walkthrough, listens before anything is sent there."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from demo import impostors, revocation
from local.alone import DemoError
from tests.support.ca import the_ca
from zt.errors import RefusedError

SYSTEM: Any = SimpleNamespace(port=lambda _: 1)


class Server:
    """Starts late, or never."""

    def __init__(self, *, starts: bool) -> None:
        self.starts, self.started, self.should_exit = starts, False, False
        self.turn = asyncio.sleep

    async def serve(self) -> None:
        for _ in range(50):
            await self.turn(0)
        self.started = self.starts
        while self.started and not self.should_exit:
            await self.turn(0)


@pytest.mark.parametrize("starts", [True, False])
async def test_it_listens_before_it_is_called_or_the_walkthrough_ends(
    monkeypatch: pytest.MonkeyPatch, starts: bool
) -> None:
    late = Server(starts=starts)
    monkeypatch.setattr(impostors, "server", lambda *_, **__: late)
    monkeypatch.setattr(asyncio, "sleep", lambda _: late.turn(0))  # each wait is one turn of the loop

    async def called() -> None:
        async with impostors._in_its_place(SYSTEM, the_ca().svid("agent/writer"), Any):  # type: ignore[arg-type]
            assert late.started

    if starts:
        await called()
    else:
        with pytest.raises(DemoError, match=r"spiffe:.*agent/writer"):
            await called()


async def test_a_registry_that_cannot_tell_yet_is_asked_again_and_another_refusal_is_none() -> None:
    answers: list[Any] = [RefusedError("", 503, "revocation_unknown"), "drifted", "active", RefusedError("", 403, "x")]

    async def party(_name: str) -> dict[str, Any]:
        answer = answers.pop(0)
        if isinstance(answer, RefusedError):
            raise answer
        return {"state": answer}

    olga: Any = SimpleNamespace(party=party)
    await revocation.until_restored(olga)
    assert len(answers) == 1
    with pytest.raises(RefusedError):
        await revocation.until_restored(olga)
