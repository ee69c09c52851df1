"""What an object promises: one at a time, nothing too early, nothing half."""

import asyncio

import pytest

from kvnode.errors import (
    IndeterminateError,
    InvalidArgumentError,
    NotLeaderError,
    ObjectRaisedError,
    OverloadedError,
    UnavailableError,
)
from kvnode.objects.running import instance as instance_module
from tests.objects.running.objects import DOORS, Counter, Site, settled

# -- calls ----------------------------------------------------------------------


async def test_calls_of_an_object_see_each_other(site: Site) -> None:
    """One instance serves them all, and its writes are there at once."""
    replies = [site.call("Counter c", "increment") for _ in range(10)]

    assert await asyncio.gather(*replies) == list(range(1, 11))
    assert Counter.started == 1
    assert await site.call("Counter d", "value") == 0


async def test_unknown_class_and_method_and_wrong_arguments_are_refused(
    site: Site,
) -> None:
    """And nothing has happened."""
    with pytest.raises(
        InvalidArgumentError, match=r"no class 'Nothing' .* Bell, Counter"
    ):
        await site.call("Nothing x", "f")
    with pytest.raises(InvalidArgumentError, match=r"no method 'f' .* increment"):
        await site.call("Counter c", "f")
    with pytest.raises(InvalidArgumentError, match="no method 'alarm'"):
        await site.call("Bell b", "alarm")
    with pytest.raises(InvalidArgumentError, match="too many positional arguments"):
        await site.call("Counter c", "increment", 1, 2, 3)
    assert site.log.entries == []


async def test_what_a_method_raises_comes_back_and_its_writes_stay(site: Site) -> None:
    """As in any program without transactions."""
    with pytest.raises(ObjectRaisedError, match="after writing") as caught:
        await site.call("Counter c", "write_and_raise")

    assert caught.value.type_name == "LookupError"
    assert await site.call("Counter c", "value") == 1


async def test_result_that_cannot_be_passed_on_is_the_methods_fault(site: Site) -> None:
    """It has written: nobody may think that nothing has happened."""
    with pytest.raises(ObjectRaisedError, match="holds a object"):
        await site.call("Counter c", "strange")
    assert await site.call("Counter c", "value") == 1


async def test_calls_beyond_the_bound_are_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits too long had better know."""
    monkeypatch.setattr(instance_module, "EVENTS_MAX", 2)
    waiting = [site.call("Counter c", "slow", "a") for _ in range(2)]
    await settled()

    with pytest.raises(OverloadedError, match="2 calls of Counter"):
        await site.call("Counter c", "value")

    DOORS["a"].set()
    await asyncio.gather(*waiting)


async def test_caller_that_gives_up_does_not_stop_the_method(site: Site) -> None:
    """What has begun comes to its end."""
    task = site.call("Counter c", "slow", "a")
    await settled()
    task.cancel()
    DOORS["a"].set()
    await settled()

    assert await site.call("Counter c", "value") == 1


# -- the input gate ---------------------------------------------------------------


async def test_other_awaits_let_calls_in(site: Site) -> None:
    """So a careless object loses an update, as in a Durable Object."""
    slow = site.call("Counter c", "slow", "a")
    await settled()
    await site.call("Counter c", "increment")
    DOORS["a"].set()

    assert await slow == 1
    assert await site.call("Counter c", "value") == 1


async def test_section_keeps_calls_out(site: Site) -> None:
    """And a careful one loses none."""
    slow = site.call("Counter c", "slow_alone", "a")
    await settled()
    other = site.call("Counter c", "increment")
    await settled()
    assert not other.done()
    DOORS["a"].set()

    assert await slow == 1
    assert await other == 2


async def test_call_waits_for_a_section_that_began_in_the_constructor(
    site: Site,
) -> None:
    """The object is ready when its first method runs."""
    assert await site.call("Bell b", "set", site.now + 60_000) is True


# -- the output gate ----------------------------------------------------------------


async def test_reply_waits_for_what_was_written(site: Site) -> None:
    """Also that of a call that has only read what is not durable yet."""
    site.log.commits.clear()
    writing = site.call("Counter c", "increment")
    await settled()
    reading = site.call("Counter c", "value")
    await settled()
    assert not writing.done()
    assert not reading.done()

    site.log.commits.set()

    assert await writing == 1
    assert await reading == 1


async def test_call_of_another_object_waits_for_what_was_written(site: Site) -> None:
    """What another does upon it must not be more durable than its cause."""
    site.log.commits.clear()
    asking = site.call("Counter c", "ask", "d")
    await settled()
    assert len(site.log.entries) == 1

    site.log.commits.set()

    assert await asking == 10
    assert len(site.log.entries) == 2


async def test_reply_without_a_lease_is_confirmed(site: Site) -> None:
    """Reads die at the gate if somebody else leads by now."""
    site.log.leased = False
    assert await site.call("Counter c", "value") == 0
    assert site.log.confirmed == 1

    site.log.loss = UnavailableError("gone")
    with pytest.raises(UnavailableError, match="does not lead"):
        await site.call("Counter c", "value")


async def test_writes_without_an_await_in_between_are_one_entry(site: Site) -> None:
    """They happen together or not at all."""
    await site.call("Storage s", "put", "k", 1)

    assert len(site.log.entries) == 1


async def test_write_that_was_refused_never_happened_and_resets_the_object(
    site: Site,
) -> None:
    """What the instance has in memory is not so."""
    await site.call("Counter c", "increment")
    site.log.refusal = UnavailableError("not the leader")
    with pytest.raises(UnavailableError, match="not the leader"):
        await site.call("Counter c", "increment")
    site.log.refusal = None

    assert await site.call("Counter c", "value") == 1
    assert Counter.started == 2


async def test_write_whose_fate_is_unknown_is_told_as_such(site: Site) -> None:
    """And nothing that follows from it leaves, either."""
    site.log.commits.clear()
    writing = site.call("Counter c", "increment")
    await settled()
    reading = site.call("Counter c", "value")
    await settled()
    site.log.loss = IndeterminateError("the lead was lost")
    site.log.commits.set()

    for task in (writing, reading):
        with pytest.raises((IndeterminateError, UnavailableError)):
            await task
    assert isinstance(writing.exception(), IndeterminateError)


async def test_losing_the_lead_ends_what_is_under_way(site: Site) -> None:
    """Who has written may have succeeded; who has only read has not."""
    reading = site.call("Counter c", "slow", "a")
    await settled()
    site.log.commits.clear()
    writing = site.call("Counter d", "increment")
    await settled()

    site.reopen()

    with pytest.raises(NotLeaderError, match="lost the lead"):
        await reading
    with pytest.raises(IndeterminateError, match="may have happened"):
        await writing


async def test_shard_that_is_not_led_here_is_refused(site: Site) -> None:
    """Nothing has happened."""
    site.host.closed("s000", 1)
    with pytest.raises(NotLeaderError, match="does not lead shard s000"):
        await site.call("Counter c", "increment")


# -- instances come and go --------------------------------------------------------


async def test_new_instance_sees_what_the_one_before_it_wrote(site: Site) -> None:
    """Even if that is committed and does not show in the state yet."""
    site.log.applies = False
    with pytest.raises(IndeterminateError, match="has ended itself"):
        await site.call("Counter c", "abort")
    reading = site.call("Counter c", "value")
    await settled()
    assert not reading.done()

    site.log.applies = True
    site.log.apply("s000", 1)

    assert await reading == 100
    assert Counter.started == 2


async def test_reads_do_not_wait_for_the_state(site: Site) -> None:
    """What is committed and not applied is seen all the same."""
    site.log.applies = False
    for n in range(3):
        assert await site.call("Counter c", "increment") == n + 1
    site.log.apply("s000", 2)
    assert await site.call("Counter c", "value") == 3
    site.log.apply("s000", 3)
    assert await site.call("Counter c", "value") == 3


# -- transactions and idempotency ---------------------------------------------------


async def test_transaction_that_raises_has_stored_nothing(site: Site) -> None:
    """All or nothing."""
    with pytest.raises(ObjectRaisedError, match="no"):
        await site.call("Counter c", "move", True)  # noqa: FBT003 -- an argument
    assert await site.call("Counter c", "keys") == []

    await site.call("Counter c", "move", False)  # noqa: FBT003 -- an argument
    assert await site.call("Counter c", "keys") == ["a", "b"]
    assert len(site.log.entries) == 1


async def test_call_with_the_same_key_happens_once(site: Site) -> None:
    """Also when the second comes while the first is under way, and after a failover."""
    slow = site.call("Counter c", "slow", "a", key="one")
    await settled()
    again = site.call("Counter c", "slow", "a", key="one")
    DOORS["a"].set()
    assert await slow == 1
    assert await again == 1
    assert len(site.log.entries) == 1

    site.reopen()

    assert await site.call("Counter c", "slow", "a", key="one") == 1
    assert await site.call("Counter c", "increment", key="two") == 2


async def test_failure_of_a_call_with_a_key_is_kept(site: Site) -> None:
    """It has written: trying again must not write again."""
    for _ in range(2):
        with pytest.raises(ObjectRaisedError, match="after writing") as caught:
            await site.call("Counter c", "write_and_raise", key="k")
        assert caught.value.type_name == "LookupError"
    assert await site.call("Counter c", "value") == 1


async def test_key_is_forgotten_after_a_day(site: Site) -> None:
    """Then it is a new call."""
    await site.call("Counter c", "increment", key="k")
    site.now += 24 * 3600 * 1000 + 1

    assert await site.call("Counter c", "increment", key="k") == 2
