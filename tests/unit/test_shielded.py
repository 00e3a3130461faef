"""Operations that run to their end even if their caller is cancelled."""

import asyncio
import gc
import weakref

from zerotrust.shielded import Shielding, shielded


class Work(Shielding):
    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()
        self.done: list[str] = []

    @shielded
    async def do(self, what: str) -> set[str]:
        await self.may_end.wait()
        self.done.append(what)
        return {what}


async def test_what_was_begun_ends_though_its_caller_was_cancelled_and_can_be_waited_for() -> None:
    work = Work()
    caller = asyncio.create_task(work.do("a"))
    await asyncio.sleep(0)  # it begins
    caller.cancel()
    assert isinstance((await asyncio.gather(caller, return_exceptions=True))[0], asyncio.CancelledError)

    ended = asyncio.create_task(work.wait_until_done())
    await asyncio.sleep(0)
    assert not ended.done()
    work.may_end.set()
    await ended
    assert work.done == ["a"]


async def test_what_has_ended_is_returned_and_not_kept() -> None:
    work = Work()
    work.may_end.set()
    result = await work.do("a")
    assert result == {"a"}
    await work.wait_until_done()  # at once

    kept = weakref.ref(result)
    del result
    await asyncio.sleep(0)
    gc.collect()
    assert kept() is None
