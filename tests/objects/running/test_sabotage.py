"""Objects with one thing wrong: the judge of `histories` notices each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

import pytest

from kvnode.core.objects.map_change import Change, encode_changes
from kvnode.errors import KvError, OverloadedError, UnavailableError
from kvnode.object_values import Value
from kvnode.objects.input_gate import InputGate
from kvnode.objects.running import alarm_run
from kvnode.objects.running.instance import Instance
from kvnode.objects.running.kept_result import raised_by
from kvnode.objects.running.output_gate import Mark, OutputGate
from kvnode.objects.running.quick_calls import QuickCall, QuickCalls
from kvnode.objects.storing.alarm import Alarm
from kvnode.objects.storing.committer import Committer
from kvnode.objects.storing.object_storage import ObjectStorage
from kvnode.objects.storing.stored_map import StoredMap
from kvnode.objects.telling import Told
from tests.objects.running.histories import World
from tests.objects.running.objects import DOORS, settled, site
from tests.objects.running.odd_objects import Odd
from tests.objects.storing.test_committer import Desk

SEEDS = 300

Break = Callable[[pytest.MonkeyPatch], None]
Scenario = Callable[[int], list[str]]


def input_gate_off(patch: pytest.MonkeyPatch) -> None:
    """Whoever comes may enter."""
    patch.setattr(InputGate, "may_pass", lambda _self, _section: True)


def storage_yields(patch: pytest.MonkeyPatch) -> None:
    """Reading lets other events in."""
    get = StoredMap.get

    async def slow_get(
        self: StoredMap, key: str | list[str], default: Value = None
    ) -> Value:
        found: Value = await get(self, key, default)
        await asyncio.sleep(0)
        return found

    patch.setattr(StoredMap, "get", slow_get)


def reads_are_not_confirmed(patch: pytest.MonkeyPatch) -> None:
    """Who believes to lead answers."""

    def leave_later(
        self: OutputGate, since: Mark, left: Callable[[KvError | None], None]
    ) -> None:
        committer = self._committer
        committer.when_settled(
            lambda: left(committer.failure and self.failed_since(since))
        )

    patch.setattr(OutputGate, "leave_later", leave_later)


def writes_leave_at_once(patch: pytest.MonkeyPatch) -> None:
    """A reply does not wait for what it follows from."""

    def when_settled(self: Committer, then: Callable[[], None]) -> None:
        self.flush()
        then()

    patch.setattr(Committer, "when_settled", when_settled)


def exceptions_leave_at_once(patch: pytest.MonkeyPatch) -> None:
    """What is raised does not wait for what it follows from."""

    async def event(
        self: Instance,
        work: Callable[[], Coroutine[Any, Any, bytes]],
        *,
        runs_code: bool,
        since: Mark | None = None,
    ) -> bytes:
        assert runs_code, "histories have calls and alarms that ring"
        since = since or self.output.mark()
        try:
            if self._object is None or self._beginning:
                await self._begun()
            result = await work()
            await self.output.leave(since)
        except asyncio.CancelledError:
            raise self.output.failed_since(since) from None
        except LookupError as error:
            raise raised_by(error) from error
        return result

    def leave(self: QuickCalls, call: QuickCall, since: Mark, told: Told) -> None:
        if isinstance(told, Exception):
            self._tell(call, told, None)
        else:
            leave_of(self, call, since, told)

    leave_of = QuickCalls._leave
    patch.setattr(Instance, "_event", event)
    patch.setattr(QuickCalls, "_leave", leave)


class _LeasedMark(NamedTuple):
    entries: int
    calls: int
    is_leased: bool


def lease_is_taken_for_granted(patch: pytest.MonkeyPatch) -> None:
    """It is looked at when the call comes in."""
    leave_of = OutputGate.leave_later

    def mark(self: OutputGate) -> _LeasedMark:
        leased = self._log.has_lease(self._shard)
        return _LeasedMark(self._committer.count, self._calls, leased)

    def leave_later(
        self: OutputGate, since: _LeasedMark, left: Callable[[KvError | None], None]
    ) -> None:
        committer, plain = self._committer, Mark(since.entries, since.calls)
        if since.is_leased:
            committer.when_settled(
                lambda: left(committer.failure and self.failed_since(plain))
            )
        else:
            leave_of(self, plain, left)

    patch.setattr(OutputGate, "mark", mark)
    patch.setattr(OutputGate, "leave_later", leave_later)


def batches_are_split(patch: pytest.MonkeyPatch) -> None:
    """Each change is an entry."""

    def flush(self: Committer) -> None:
        self._is_due = False
        if self.failure or self._is_refused or self._is_held:
            return
        if not self._overlay.is_staging:
            return
        batch, changes = self._overlay.take()
        for change in changes:
            self.count += 1
            self._last = self._propose(encode_changes([change]))
            self._under_way.add(self._last)
            self._waiting[self._last] = []
            self._last.add_done_callback(partial(self._ended, self.count, batch, 0))

    patch.setattr(Committer, "flush", flush)


def former_instance_is_not_drained(patch: pytest.MonkeyPatch) -> None:
    """The new one begins with what the state shows."""

    async def drained(_self: Committer) -> None:
        pass

    patch.setattr(Committer, "drained", drained)


def entries_follow_one_that_failed(patch: pytest.MonkeyPatch) -> None:
    """What comes later is proposed all the same."""
    flush_of = Committer.flush

    def flush(self: Committer) -> None:
        with pytest.MonkeyPatch.context() as blind:
            blind.setattr(self, "failure", None)
            self._is_refused = False
            flush_of(self)

    patch.setattr(Committer, "flush", flush)


def alarm_is_deleted_before_it_ran(patch: pytest.MonkeyPatch) -> None:
    """Who fails in the midst of it has none any more."""
    ran = alarm_run._ran

    async def run(
        storage: ObjectStorage, hook: Callable[[], Awaitable[Any]]
    ) -> BaseException | None:
        storage.change_alarm(None)
        return await ran(storage, hook)

    patch.setattr(alarm_run, "_ran", run)


def alarm_is_kept_in_memory(patch: pytest.MonkeyPatch) -> None:
    """It is not in the log."""
    alarms: dict[int, Alarm | None] = {}

    def change(self: ObjectStorage, after: Alarm | None) -> None:
        alarms[id(self)] = after

    patch.setattr(ObjectStorage, "change_alarm", change)
    patch.setattr(ObjectStorage, "alarm", lambda self: alarms.get(id(self)))


def result_is_an_entry_of_its_own(patch: pytest.MonkeyPatch) -> None:
    """What a call with a key has written is proposed before its result."""
    stage_last = ObjectStorage.stage_last

    def staged(self: ObjectStorage, changes: list[Change]) -> None:
        self._committer._is_held = False
        self._committer.flush()
        stage_last(self, changes)

    patch.setattr(ObjectStorage, "stage_last", staged)


def fate_is_told_too_well(patch: pytest.MonkeyPatch) -> None:
    """What failed has not happened, whatever was proposed before."""
    patch.setattr(Committer, "failed_since", lambda self, _since: self.failure)


def broken_instance_goes_on(patch: pytest.MonkeyPatch) -> None:
    """What it has in memory is taken for what is stored."""

    def fail(self: Instance, why: KvError) -> None:
        if self._why_broken is None and why.outcome.value == "indeterminate":
            fail_of(self, why)
        else:
            self._committer.failure = None

    fail_of = Instance.fail
    patch.setattr(Instance, "fail", fail)


def histories(seed: int) -> list[str]:
    """Whatever can happen."""
    return World(seed).run()


def refused_among_others(_seed: int) -> list[str]:
    """Of two entries that are on their way, the first is refused."""

    async def run() -> list[bytes]:
        desk = Desk()
        desk.refusal = OverloadedError("too many wait")
        for key in (b"a", b"b"):
            desk.stage(key)
            desk.committer.flush()
        await settled()
        desk.stage(b"c")
        await settled()
        return desk.proposed

    return [f"proposed all the same: {key!r}" for key in asyncio.run(run())]


def former_has_written_what_does_not_show(_seed: int) -> list[str]:
    """An instance ends between the commit of an entry and its being applied."""

    async def run() -> list[str]:
        async with site({"Odd": Odd}) as made:
            made.log.applies = False
            await made.call("Odd o", "add")
            await asyncio.wait([made.call("Odd o", "aborts", "")])
            reading = made.call("Odd o", "value")
            await settled()
            made.log.apply("s000", 1)
            return [] if await reading == 1 else ["an entry was not seen"]

    return asyncio.run(run())


def lease_ends_during_a_call(_seed: int) -> list[str]:
    """Another node leads when the reply would leave."""

    async def run() -> list[str]:
        async with site() as made:
            reading = made.call("Counter c", "value_later", "a")
            await settled()
            made.log.leased, made.log.loss = False, UnavailableError("gone")
            DOORS["a"].set()
            await settled()
            error = reading.exception()
            return [] if error is not None else [f"told: {reading.result()}"]

    return asyncio.run(run())


BROKEN: list[tuple[Break, Scenario]] = [
    (input_gate_off, histories),
    (storage_yields, histories),
    (reads_are_not_confirmed, histories),
    (writes_leave_at_once, histories),
    (exceptions_leave_at_once, histories),
    (lease_is_taken_for_granted, lease_ends_during_a_call),
    (batches_are_split, histories),
    (former_instance_is_not_drained, former_has_written_what_does_not_show),
    (entries_follow_one_that_failed, refused_among_others),
    (alarm_is_deleted_before_it_ran, histories),
    (alarm_is_kept_in_memory, histories),
    (result_is_an_entry_of_its_own, histories),
    (fate_is_told_too_well, histories),
    (broken_instance_goes_on, histories),
]


def noticed(scenario: Scenario, seed: int) -> bool:
    """Tell whether a seed shows that something is wrong."""
    try:
        return bool(scenario(seed))
    except AssertionError:
        return True  # the code itself has noticed


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "kvnode.objects")


@pytest.mark.parametrize(
    ("broken", "scenario"), BROKEN, ids=[broken.__name__ for broken, _ in BROKEN]
)
def test_broken_object_is_noticed(
    broken: Break, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a value that is lost, stale, told twice, or was never asked for."""
    broken(monkeypatch)

    assert any(noticed(scenario, seed) for seed in range(SEEDS))


@pytest.mark.parametrize(
    "scenario",
    [
        refused_among_others,
        former_has_written_what_does_not_show,
        lease_ends_during_a_call,
    ],
)
def test_scenario_passes_if_nothing_is_broken(scenario: Scenario) -> None:
    """`histories` has a test of its own for that."""
    assert scenario(0) == []
