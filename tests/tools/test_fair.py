"""Slots shared out among users: who goes first, who is refused, and that nothing is lost by those who leave."""

import asyncio

import pytest

from chat.tools.base import ToolError
from chat.tools.fair import FairSlots, Shares


class Line:
    """Users in line for slots, and the order in which they got one."""

    def __init__(self, shares: Shares) -> None:
        self.slots = FairSlots(shares)
        self.served: list[str] = []

    def join(self, name: str) -> asyncio.Task[None]:
        """`ann1` is the first that ann asks for."""
        return asyncio.create_task(self._wait(name))

    async def _wait(self, name: str) -> None:
        await self.slots.take(name[:3])
        self.served.append(name)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_users_take_turns_however_many_wait_for_one() -> None:
    line = Line(Shares(1, 1, 100, 100))
    tasks = [line.join(name) for name in ("ann1", "ann2", "ann3", "bob1", "cat1", "bob2")]
    for _ in tasks:
        await settle()
        line.slots.release(line.served[-1][:3])
    assert line.served == ["ann1", "bob1", "cat1", "ann2", "bob2", "ann3"]


async def test_a_slot_is_left_for_others() -> None:
    line = Line(Shares(2, 1, 100, 100))
    tasks = [line.join(name) for name in ("ann1", "ann2", "bob1")]
    await settle()
    assert line.served == ["ann1", "bob1"]
    line.slots.release("bob")
    await settle()
    assert line.served == ["ann1", "bob1"]
    line.slots.release("ann")
    await asyncio.gather(*tasks)
    assert line.served == ["ann1", "bob1", "ann2"]


async def test_one_user_cannot_fill_the_line() -> None:
    line = Line(Shares(1, 1, 3, 2))
    waiting = [line.join(name) for name in ("ann1", "ann2", "ann3")]
    await settle()
    with pytest.raises(ToolError, match="waiting"):
        await line.slots.take("ann")
    waiting.append(line.join("bob1"))
    await settle()
    with pytest.raises(ToolError, match="waiting"):
        await line.slots.take("cat")
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    line.slots.release("ann")
    async with asyncio.timeout(1):
        await line.slots.take("dan")


async def test_who_leaves_as_a_slot_comes_passes_it_on() -> None:
    line = Line(Shares(1, 1, 9, 9))
    tasks = [line.join(name) for name in ("ann1", "bob1", "cat1")]
    await settle()
    line.slots.release("ann")
    tasks[1].cancel()  # its slot is on the way
    await settle()
    assert line.served == ["ann1", "cat1"]
    line.slots.release("cat")
    async with asyncio.timeout(1):
        await line.slots.take("dan")
