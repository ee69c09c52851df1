"""How instances end, and that nothing of them is left to do harm."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvnode.errors import (
    IndeterminateError,
    NotLeaderError,
    ObjectEndedError,
    ObjectRaisedError,
    Outcome,
    OverloadedError,
    UnavailableError,
)
from kvnode.objects.running import instance as instance_module
from kvnode.objects.running import kept_results, shard_objects
from tests.objects.running.fake_log import DictState
from tests.objects.running.objects import DOORS, NOW, Site, settled, site
from tests.objects.running.odd_objects import Odd, Stillborn, Unborn


@pytest.fixture(name="odd")
async def odd_site() -> AsyncIterator[Site]:
    """A host of odd objects."""
    async with site({"Odd": Odd}) as made:
        yield made


# -- what waits when an instance ends -------------------------------------------


async def test_new_instance_waits_for_an_entry_before_the_one_that_was_refused(
    odd: Site,
) -> None:
    """It is committed later, and an instance without it would lose it."""
    odd.log.commits.clear()
    first = odd.call("Odd o", "add")
    await settled()
    odd.log.refusal = OverloadedError("too many wait")
    second = odd.call("Odd o", "add")
    await settled()
    odd.log.refusal = None
    third = odd.call("Odd o", "add")
    await settled()
    assert not third.done()

    odd.log.commits.set()

    with pytest.raises(IndeterminateError):
        await first
    with pytest.raises(OverloadedError):
        await second
    assert await third == 2


async def test_caller_that_waits_for_a_new_instance_learns_that_the_shard_closed(
    odd: Site,
) -> None:
    """It must neither wait for ever, nor be served from before the next opening."""
    odd.log.applies = False
    await odd.call("Odd o", "add")
    with pytest.raises(UnavailableError):
        await odd.call("Odd o", "aborts", "x")
    waiting = odd.call("Odd o", "value")
    await settled()
    assert not waiting.done()

    odd.host.closed("s000", 1)
    odd.host.opened("s000", 2, 0)
    await settled()

    with pytest.raises(NotLeaderError, match="lost the lead"):
        await waiting


async def test_call_that_had_not_begun_is_refused_and_not_cancelled(odd: Site) -> None:
    """Whoever called is not the one who was cancelled."""
    await odd.call("Odd o", "value")
    calling = odd.call("Odd o", "add")
    await asyncio.sleep(0)
    odd.host.closed("s000", 1)
    await settled()

    with pytest.raises(UnavailableError, match="lost the lead"):
        calling.result()


async def test_code_that_outlasts_its_cancellation_has_no_effect(odd: Site) -> None:
    """Its writes go nowhere and its reply is an error."""
    calling = odd.call("Odd o", "holds_on", "a")
    await settled()
    odd.reopen()
    await settled()

    with pytest.raises(NotLeaderError):
        calling.result()
    assert await odd.call("Odd o", "value") == 0


async def test_shard_whose_state_is_lost_can_be_closed(odd: Site) -> None:
    """All its objects end, though nothing can be read any more."""
    calls = [odd.call(f"Odd {name}", "later", "a") for name in "pq"]
    await asyncio.gather(*calls)
    waiting = [odd.call(f"Odd {name}", "holds_on", "a") for name in "pq"]
    await settled()
    odd.log.is_lost = True

    odd.host.closed("s000", 1)
    await settled()

    assert all(isinstance(each.exception(), NotLeaderError) for each in waiting)


async def test_state_that_was_opened_again_is_read(odd: Site) -> None:
    """The one before it is closed."""
    await odd.call("Odd o", "add")
    rows, odd.log.rows = odd.log.rows, DictState()
    odd.log.rows.rows = dict(rows.rows)
    rows.rows.clear()

    assert await odd.call("Odd o", "value") == 1


# -- what callers are told ----------------------------------------------------------


async def test_call_that_has_called_another_object_may_have_happened(
    odd: Site,
) -> None:
    """It has written nothing itself; trying again would add once more."""
    asking = odd.call("Odd o", "asks", "p")
    await settled()
    assert await odd.call("Odd p", "value") == 10
    odd.reopen()
    with pytest.raises(IndeterminateError, match="has called other objects"):
        await asking

    DOORS["a"].set()
    odd.log.leased = False
    asking = odd.call("Odd o", "asks", "p")
    await settled(5)
    odd.log.loss = UnavailableError("gone")
    with pytest.raises(IndeterminateError, match="has called other objects"):
        await asking


async def test_error_says_nothing_of_why_the_code_has_ended(odd: Site) -> None:
    """The reason may rest on what is not so, and passes no gate."""
    odd.log.commits.clear()
    with pytest.raises(IndeterminateError, match="a section") as caught:
        await odd.call("Odd o", "fails_in_a_section", "secret")
    assert "secret" not in str(caught.value)

    with pytest.raises(UnavailableError, match="has ended itself") as aborted:
        await odd.call("Odd p", "aborts", "secret")
    assert "secret" not in str(aborted.value)


@pytest.mark.parametrize(
    ("target", "method", "arguments"),
    [
        ("Odd o", "aborts", ["x"]),
        ("Odd o", "fails_in_a_section_without_writing", []),
        ("Unborn u", "value", []),
        ("Stillborn s", "value", []),
    ],
)
@pytest.mark.parametrize("key", ["", "k"])
async def test_call_whose_object_ends_by_its_own_code_is_told_so(
    target: str, method: str, arguments: list[str], key: str
) -> None:
    """Another instance would do the same; whoever lost the lead would not."""
    async with site({"Odd": Odd, "Unborn": Unborn, "Stillborn": Stillborn}) as made:
        with pytest.raises(ObjectEndedError) as caught:
            await made.call(target, method, *arguments, key=key)
        assert caught.value.outcome is Outcome.FAILED
        assert made.log.entries == []


async def test_call_beside_the_one_that_ends_the_object_is_told_the_same(
    odd: Site,
) -> None:
    """It may have told others in memory, and is not begun again behind their backs."""
    waiting = odd.call("Odd o", "waits", "a")
    await settled()
    with pytest.raises(ObjectEndedError):
        await odd.call("Odd o", "aborts", "x")
    with pytest.raises(ObjectEndedError):
        await waiting


async def test_section_that_fails_takes_its_last_step_with_it(odd: Site) -> None:
    """What was written before it began is stored."""
    with pytest.raises(IndeterminateError, match="a section"):
        await odd.call("Odd o", "fails_at_once_in_a_section")

    assert await odd.call("Odd o", "value") == 1
    assert len(odd.log.entries) == 1


async def test_abort_takes_what_was_written_since_a_transaction(odd: Site) -> None:
    """The transaction was over, and is an entry by itself."""
    with pytest.raises(IndeterminateError, match="has ended itself"):
        await odd.call("Odd o", "aborts_after_a_transaction")

    assert await odd.call("Odd o", "stored") == {"in": 1}


async def test_cancellation_that_code_raises_itself_is_its_failure(odd: Site) -> None:
    """Callers go on, and know what was raised."""
    with pytest.raises(ObjectRaisedError) as caught:
        await odd.call("Odd o", "cancels")
    assert caught.value.type_name == "CancelledError"
    assert await odd.call("Odd o", "value") == 1


async def test_what_is_passed_to_another_object_is_a_copy(odd: Site) -> None:
    """As if it lived elsewhere."""
    assert await odd.call("Odd o", "passes_a_list", "p") == [1]


# -- what goes on beside ---------------------------------------------------------------


async def test_work_begun_in_a_call_with_a_key_goes_on_after_it(odd: Site) -> None:
    """The call was a section, which is over."""
    await odd.call("Odd o", "later", "a", key="k")
    DOORS["a"].set()
    await settled()

    assert await odd.call("Odd o", "value") == 1


async def test_transaction_left_behind_by_a_section_ends_well(odd: Site) -> None:
    """The object is open again when it is over."""
    leaving = odd.call("Odd o", "transaction_left_behind", "a")
    await settled()
    reading = odd.call("Odd o", "value")
    await settled()
    assert not reading.done()
    DOORS["a"].set()

    assert await asyncio.wait_for(reading, 1) == 7
    await leaving


async def test_work_beside_is_bounded(
    odd: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As calls are."""
    monkeypatch.setattr(instance_module, "EVENTS_MAX", 5)

    assert await odd.call("Odd o", "too_many_later") == 4


async def test_object_that_has_left_the_memory_cannot_write(
    odd: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one may be there by then."""
    monkeypatch.setattr(shard_objects, "INSTANCES_MAX", 1)
    await odd.call("Odd o", "later_without_telling", "a")
    assert await odd.call("Odd p", "value") == 0  # there is room for one
    DOORS["a"].set()
    await settled()

    assert await odd.call("Odd o", "value") == 0
    assert odd.log.entries == []


async def test_object_stays_in_memory_while_a_section_of_it_lasts(
    odd: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no call of it is under way."""
    monkeypatch.setattr(shard_objects, "INSTANCES_MAX", 1)
    await odd.call("Odd o", "section_without_waiting", "a")
    with pytest.raises(OverloadedError, match="objects of shard"):
        await odd.call("Odd p", "value")
    DOORS["a"].set()
    await settled()

    assert await odd.call("Odd o", "value") == 1


# -- calls with keys ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments"), [("writes_and_asks", ["p"]), ("writes_and_syncs", [])]
)
async def test_call_with_a_key_that_has_written_waits_for_its_own_end(
    odd: Site, method: str, arguments: list[str]
) -> None:
    """What it writes is durable with its result, so nothing may leave before."""
    with pytest.raises(ObjectRaisedError, match="only before it writes"):
        await odd.call("Odd o", method, *arguments, key="k")
    assert await odd.call("Odd p", "value") == 0


@pytest.mark.parametrize(
    ("method", "raised"),
    [
        ("cancels", "CancelledError"),
        ("writes_too_much", "InvalidArgumentError"),
        ("says_what_is_no_text", "ValueError"),
    ],
)
async def test_result_of_a_call_with_a_key_is_always_with_its_writes(
    odd: Site, method: str, raised: str
) -> None:
    """However it ends: trying again must not write again."""
    for _ in range(2):
        with pytest.raises(ObjectRaisedError) as caught:
            await odd.call("Odd o", method, key="k")
        assert caught.value.type_name == raised
    assert await odd.call("Odd o", "value") == 1
    assert len(odd.log.entries) == 1


async def test_results_that_have_expired_are_deleted(odd: Site) -> None:
    """More of them with every call than it adds."""
    empty = len(odd.log.rows.own)
    for n in range(20):
        await odd.call("Odd o", "add", key=f"k{n}")
    full = len(odd.log.rows.own)
    odd.now += instance_module.RESULT_KEPT_MILLIS + 1
    for n in range(10):
        await odd.call("Odd o", "add", key=f"k{n + 15}")

    assert full - empty == 20 * 2 + 3  # and the origin, the sum, and the value
    assert len(odd.log.rows.own) == empty + 10 * 2 + 3
    odd.now += instance_module.RESULT_KEPT_MILLIS + 1
    sums = [row for key, row in odd.log.rows.own.items() if key[-1:] == b"\x05"]
    sizes = [row for key, row in odd.log.rows.own.items() if key[25:26] == b"\x04"]
    assert int.from_bytes(sums[0]) == sum(map(int.from_bytes, sizes))


async def test_call_with_a_key_is_refused_when_too_much_is_kept(
    odd: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not happened; a day later it can."""
    monkeypatch.setattr(kept_results, "KEPT_BYTES_MAX", 300)
    for n in range(2):
        await odd.call("Odd o", "add", key=f"k{n}")
    with pytest.raises(OverloadedError, match="idempotency keys"):
        await odd.call("Odd o", "add", key="k2")
    assert odd.now == NOW
    odd.now += instance_module.RESULT_KEPT_MILLIS + 1

    assert await odd.call("Odd o", "add", key="k2") == 3


async def test_reserved_room_is_given_back(odd: Site) -> None:
    """An entry of a call without a key may be as large as ever."""
    with pytest.raises(ObjectRaisedError, match="more than"):
        await odd.call("Odd o", "writes_too_much", key="k")
    await odd.call("Odd o", "writes_too_much")
    assert await odd.call("Odd o", "value") == 2
