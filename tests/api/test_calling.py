"""Whoever waits for a call is told once, in time, or has left."""

import asyncio
from weakref import ref

import pytest

from kvnode.api.calling import begin_within_patience, within_patience
from kvnode.api.objects_port import Call
from kvnode.deadlines import deadlines_of
from kvnode.errors import DeadlineError, UnavailableError
from kvnode.object_values import Value
from kvnode.objects.object_id import ObjectId
from kvnode.objects.telling import Leave, Tell, Told
from tests.api.objects_server import FakeObjects

CALL = Call(ObjectId.from_name("Counter", "c"), "count", patience_ms=20)


class Slow(FakeObjects):
    """Tells what the test says, when it does."""

    tell: Tell
    leaves = 0

    def begin(self, call: Call, tell: Tell) -> Leave:
        """Begin."""
        self.calls.append(call)
        self.tell = tell
        return self._leave

    def _leave(self) -> None:
        self.leaves += 1


def waiting() -> int:
    """Return for how many calls a deadline is kept."""
    wheel = deadlines_of(asyncio.get_running_loop())
    return sum(len(bucket) for bucket, _ in wheel._buckets.values())


async def test_result_that_comes_too_late_is_told_nobody() -> None:
    """The deadline was told, and the objects know that nobody waits."""
    objects, told = Slow(), list[Told]()
    begin_within_patience(objects, CALL, told.append)
    await asyncio.sleep(0.05)

    objects.tell(b"late")

    (error,) = told
    assert isinstance(error, DeadlineError)
    assert "within 20 ms" in str(error)
    assert objects.leaves == 1
    assert waiting() == 0


async def test_who_has_left_is_told_nothing() -> None:
    """Neither a result nor a deadline."""
    objects, told = Slow(), list[Told]()
    leave = begin_within_patience(objects, CALL, told.append)

    leave()
    leave()

    assert objects.leaves == 1
    assert waiting() == 0
    objects.tell(b"late")
    await asyncio.sleep(0.05)
    assert told == []


async def test_what_was_told_is_told_once() -> None:
    """To leave then, or to let time pass, means nothing."""
    objects, told = Slow(), list[Told]()
    leave = begin_within_patience(objects, CALL, told.append)

    objects.tell(b"result")
    leave()
    await asyncio.sleep(0.05)

    assert told == [b"result"]
    assert objects.leaves == 0


class Arguments(list[Value]):
    """Some that a test can see going."""


@pytest.mark.parametrize("how", ["told", "left", "late"])
async def test_arguments_are_let_go_when_the_call_is_over(how: str) -> None:
    """Whoever has called may wait for long until the answer is read."""
    objects = Slow()
    arguments = Arguments(["much"])
    gone = ref(arguments)
    caller = begin_within_patience(
        objects, CALL._replace(arguments=arguments), lambda _: None
    )
    del arguments
    objects.calls.clear()
    assert gone() is not None

    if how == "told":
        objects.tell(b"result")
    elif how == "left":
        caller()
    else:
        await asyncio.sleep(0.05)

    assert gone() is None


async def test_call_that_was_refused_leaves_nothing_behind() -> None:
    """No deadline is kept for it."""

    class Refusing(FakeObjects):
        def begin(self, call: Call, tell: Tell) -> Leave:
            del call, tell
            msg = "stopping"
            raise UnavailableError(msg)

    with pytest.raises(UnavailableError, match="stopping"):
        begin_within_patience(Refusing(), CALL, lambda _: None)
    assert waiting() == 0


async def test_who_is_cancelled_while_waiting_has_left() -> None:
    """What runs goes on."""
    objects = Slow()
    calling = asyncio.create_task(within_patience(objects, CALL))
    await asyncio.sleep(0)

    calling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await calling
    assert objects.leaves == 1
    assert waiting() == 0
