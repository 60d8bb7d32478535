"""Where messages are handled side by side, and now and then one alone."""

import asyncio

from shared.suspects import Floor


async def worker(floor: Floor, name: str, told: list[str], go: asyncio.Event) -> None:
    await floor.enter()
    told.append(f"{name} begins")
    await go.wait()
    told.append(f"{name} ends")
    floor.leave()


async def suspect(floor: Floor, name: str, told: list[str]) -> None:
    async with floor.alone():
        told.append(f"{name} begins")
        await asyncio.sleep(0)
        told.append(f"{name} ends")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_who_works_alone_waits_for_those_before_and_those_after_wait_for_it():
    floor, told, first, second = Floor(), [], asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(worker(floor, name, told, first)) for name in ("a", "b")]
    await settle()
    tasks.append(asyncio.create_task(suspect(floor, "suspect", told)))
    await settle()
    tasks.append(asyncio.create_task(worker(floor, "c", told, second)))
    await settle()
    before = list(told)
    first.set()
    await settle()
    second.set()
    await asyncio.gather(*tasks)

    assert before == ["a begins", "b begins"]
    assert told == [*before, "a ends", "b ends", "suspect begins", "suspect ends", "c begins", "c ends"]


async def test_two_that_work_alone_do_so_one_after_the_other():
    floor, told = Floor(), []

    await asyncio.gather(suspect(floor, "a", told), suspect(floor, "b", told))

    assert told == ["a begins", "a ends", "b begins", "b ends"]


async def test_who_gives_up_waiting_to_work_alone_holds_up_nobody():
    floor, told, go = Floor(), [], asyncio.Event()
    working = asyncio.create_task(worker(floor, "a", told, go))
    await settle()
    waiting = asyncio.create_task(suspect(floor, "suspect", told))
    await settle()
    waiting.cancel()
    await settle()
    go.set()
    await worker(floor, "b", told, go)
    await working

    assert waiting.cancelled()
    assert sorted(told) == ["a begins", "a ends", "b begins", "b ends"]
