"""A sender's turns: few requests begin in one pass of the event loop, in order, and whoever has gone takes none."""

import asyncio

from zerotrust.hardening.turns import IN_A_PASS, Turns


async def test_few_begin_in_one_pass_and_the_others_in_later_ones_in_their_order() -> None:
    turns, begun, seen = Turns(), list[int](), list[int]()

    async def request(number: int) -> None:
        await turns.wait()
        begun.append(number)

    waiting = [asyncio.create_task(request(number)) for number in range(3 * IN_A_PASS + 1)]
    while not all(task.done() for task in waiting):
        before = len(begun)
        await asyncio.sleep(0)
        seen.append(len(begun) - before)

    assert begun == list(range(3 * IN_A_PASS + 1))
    assert max(seen) == IN_A_PASS


async def test_in_a_later_pass_there_is_room_again_at_once() -> None:
    turns = Turns()
    for _ in range(3):
        for _ in range(IN_A_PASS):
            waits = turns.wait()
            try:
                waits.send(None)
            except StopIteration:
                continue
            raise AssertionError("it waits, although few have begun in this pass")
        await asyncio.sleep(0)


async def test_who_has_gone_takes_no_turn_and_whoever_comes_afterwards_has_one() -> None:
    turns = Turns()
    waiting = [asyncio.create_task(turns.wait()) for _ in range(2 * IN_A_PASS + 1)]
    await asyncio.sleep(0)
    for gone in waiting[IN_A_PASS : 2 * IN_A_PASS]:
        gone.cancel()

    async with asyncio.timeout(10):
        await waiting[-1]
        for _ in range(IN_A_PASS):
            await turns.wait()
