"""What may enter an object, and when."""

import asyncio

import pytest

from kvnode.objects.input_gate import InputGate


class Script:
    """Pieces of an object's code, and the order in which they ran."""

    def __init__(self) -> None:
        self.gate = InputGate()
        self.log: list[str] = []
        self.doors: dict[str, asyncio.Event] = {}

    def door(self, name: str) -> asyncio.Event:
        """Return something to await for."""
        return self.doors.setdefault(name, asyncio.Event())

    async def call(self, name: str) -> None:
        """Begin, await a door, and go on."""
        self.log.append(f"{name} begins")
        await self.door(name).wait()
        self.log.append(f"{name} goes on")

    def start(self, name: str) -> asyncio.Task[None]:
        """Let a call of that name come in."""
        return asyncio.create_task(self.gate.pass_through(self.call(name)))

    def start_section(self, name: str) -> asyncio.Task[None]:
        """Let a call come in that does everything in a section."""

        async def work() -> None:
            await self.gate.section(lambda: self.call(name))
            self.log.append(f"{name} is over")

        return asyncio.create_task(self.gate.pass_through(work()))

    async def open(self, name: str) -> None:
        """Let what waits at a door go on."""
        self.door(name).set()
        await settled()


async def settled() -> None:
    """Return once everything that can run has run."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def script() -> Script:
    """A fresh object."""
    return Script()


async def test_awaits_let_other_events_in(script: Script) -> None:
    """Two calls take turns."""
    tasks = [script.start("a"), script.start("b")]
    await settled()
    await script.open("a")
    await script.open("b")

    assert script.log == ["a begins", "b begins", "a goes on", "b goes on"]
    assert all(task.done() for task in tasks)


async def test_nothing_begins_nor_goes_on_while_a_section_lasts(
    script: Script,
) -> None:
    """What was awaited is there, and has to wait all the same."""
    before = script.start("before")
    await settled()
    section = script.start_section("s")
    await settled()
    after = script.start("after")
    await script.open("before")
    assert script.log == ["before begins", "s begins"]
    assert script.gate.is_closed

    await script.open("s")
    await script.open("after")

    assert script.log[2] == "s goes on"
    assert set(script.log[3:]) == {
        "s is over",
        "before goes on",
        "after begins",
        "after goes on",
    }
    await asyncio.gather(before, section, after)
    assert not script.gate.is_closed


async def test_sections_follow_each_other(script: Script) -> None:
    """In the order in which they were asked for."""
    tasks = [script.start_section("a"), script.start_section("b")]
    await settled()
    assert script.log == ["a begins"]
    await script.open("a")
    await script.open("b")
    await asyncio.gather(*tasks)

    assert [entry for entry in script.log if "over" not in entry] == [
        "a begins",
        "a goes on",
        "b begins",
        "b goes on",
    ]


async def test_section_within_a_section_belongs_to_it(script: Script) -> None:
    """It waits for nobody, and what is around it goes on afterwards."""

    async def outer() -> None:
        script.log.append("outer begins")
        await script.gate.section(lambda: script.call("inner"))
        script.log.append("outer goes on")

    task = script.gate.section(outer)
    await settled()
    other = script.start("other")
    await script.open("inner")
    await script.open("other")
    await asyncio.gather(task, other)

    assert script.log[:4] == [
        "outer begins",
        "inner begins",
        "inner goes on",
        "outer goes on",
    ]


async def test_section_has_the_object_as_soon_as_it_is_asked_for(
    script: Script,
) -> None:
    """A call that has come in already does not begin before it."""
    other = script.start("other")
    section = script.gate.section(lambda: script.call("s"))
    await script.open("s")
    await script.open("other")
    await asyncio.gather(other, section)

    assert script.log[:3] == ["s begins", "s goes on", "other begins"]


async def test_whoever_awaits_a_section_goes_on_before_all_others(
    script: Script,
) -> None:
    """What was found out in it holds for one more step."""
    waiting = script.start("waiting")
    await settled()
    section = script.start_section("s")
    await settled()
    await script.open("waiting")
    other = script.start("other")
    await script.open("s")
    await script.open("other")
    await asyncio.gather(waiting, section, other)

    assert script.log[2:4] == ["s goes on", "s is over"]


async def test_section_that_is_cancelled_before_it_begins_opens_the_gate(
    script: Script,
) -> None:
    """It has the object, and nothing of it has run."""
    section = script.gate.section(lambda: script.call("never"))
    section.cancel()
    await settled()

    assert not script.gate.is_closed
    assert script.log == []


async def test_section_that_fails_opens_the_gate(script: Script) -> None:
    """Its failure is for whoever asked for it."""

    async def broken() -> None:
        await asyncio.sleep(0)
        msg = "no"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="no"):
        await script.gate.section(broken)

    assert not script.gate.is_closed


async def test_section_whose_caller_is_cancelled_ends_before_the_gate_opens(
    script: Script,
) -> None:
    """Nobody meets what is half done."""

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            script.log.append("cleaned up")

    async def caller() -> None:
        await script.gate.section(stubborn)

    task = asyncio.create_task(caller())
    await settled()
    other = script.start("other")
    task.cancel()
    await settled()

    assert script.log == ["cleaned up", "other begins"]
    other.cancel()


async def test_call_that_is_cancelled_at_the_gate_is_told_so(script: Script) -> None:
    """It had begun: its own clean-up runs."""
    section = script.start_section("s")
    await settled()
    waiting = script.start("never")
    await settled()
    waiting.cancel()
    await settled()

    assert waiting.cancelled()
    assert "never begins" not in script.log
    await script.open("s")
    await section


async def test_failure_of_what_is_awaited_comes_through_the_gate(
    script: Script,
) -> None:
    """As an exception where it was awaited."""

    async def waits() -> str:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, OSError("gone"))
        try:
            await future
        except OSError as error:
            return str(error)
        return "nothing"

    assert await script.gate.pass_through(waits()) == "gone"


async def test_what_outlives_its_section_belongs_to_what_is_around_it(
    script: Script,
) -> None:
    """It goes on, and may have a section of its own."""
    left: list[asyncio.Task[None]] = []

    async def leaves_work() -> None:
        async def later() -> None:
            await script.door("later").wait()
            await script.gate.section(lambda: script.call("x"))

        left.append(asyncio.create_task(script.gate.pass_through(later())))

    await script.gate.section(leaves_work)
    await script.open("later")
    other = script.start("other")
    await script.open("x")
    await script.open("other")
    await asyncio.gather(*left, other)

    assert script.log[:2] == ["x begins", "x goes on"]
    assert not script.gate.is_closed


async def test_section_may_end_before_one_that_was_begun_within_it(
    script: Script,
) -> None:
    """The object opens when the last of them is over."""
    left: list[asyncio.Task[None]] = []

    async def does_not_wait() -> None:
        left.append(script.gate.section(lambda: script.call("s")))

    task = script.gate.section(does_not_wait)
    await settled()
    other = script.start("other")
    await settled()
    assert script.log == ["s begins"]

    await script.open("s")
    await script.open("other")
    await asyncio.gather(task, other, *left)

    assert script.log[1:] == ["s goes on", "other begins", "other goes on"]
    assert not script.gate.is_closed


async def test_cancellation_waits_for_its_turn(script: Script) -> None:
    """A timeout is an event: what it interrupts must not run amid a section."""

    async def impatient() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            script.log.append("gave up")

    task = asyncio.create_task(script.gate.pass_through(impatient()))
    await settled()
    section = script.start_section("s")
    await settled()
    task.cancel()
    await settled()
    task.cancel()
    await settled()
    assert script.log == ["s begins"]

    await script.open("s")
    await asyncio.gather(section, task)

    assert script.log[:2] == ["s begins", "s goes on"]
    assert "gave up" in script.log


async def test_abandoned_gate_lets_everything_pass(script: Script) -> None:
    """Nobody waits for a section of what is thrown away."""
    section = script.start_section("s")
    waiting = script.start("waiting")
    await settled()
    assert script.log == ["s begins"]

    script.gate.abandon()
    await settled()

    assert script.log == ["s begins", "waiting begins"]
    for task in (section, waiting):
        task.cancel()
