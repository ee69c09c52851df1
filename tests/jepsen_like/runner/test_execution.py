"""What a run does, in what order, and what it never hides."""

import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepsen_like.generator import plan_of
from jepsen_like.history.json_lines import encode
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.nemesis.faults import Fault, FlipBits, Kill, Pause, Resume, Start
from jepsen_like.nemesis.registry import NEMESES
from jepsen_like.plan import Invoke, Plan, Step, Strike
from jepsen_like.runner.execution import SetUpError
from jepsen_like.runner.run import NOTES_MAX, Bounds, Notebook, Progress
from jepsen_like.workloads.workload import Extent
from tests.jepsen_like.examples import examples
from tests.jepsen_like.fakes import (
    NODES,
    DividedSystem,
    FakeClient,
    FakeSystem,
    LastWrites,
    run_on,
)

BOUNDS = Bounds(operation=100, overrun=500)


def _plan(*steps: Step, settle: int = 50) -> Plan:
    return Plan("last-writes", 1, NODES, steps, settle)


def _write(at: int, worker: int = 0, value: int = 1, node: str = "n1") -> Invoke:
    return Invoke(at, worker, node, "write", "x", value)


def _asked(operations: Sequence[Operation]) -> list[Operation]:
    return [each for each in operations if not each.f.startswith("final-")]


@given(
    seed=st.integers(0, 10**6),
    names=st.lists(st.sampled_from(sorted(NEMESES)), max_size=2),
)
@settings(max_examples=examples(40), deadline=None)
def test_run_is_a_well_formed_history_and_the_same_again(
    seed: int, names: list[str]
) -> None:
    """Processes do one thing at a time, in order, and none goes on after an INFO."""
    plan = plan_of(
        LastWrites(),
        [NEMESES[name] for name in names],
        seed,
        NODES,
        Extent(40, 3, 2, 1_000),
    )
    system = FakeSystem()
    run = run_on(system, plan, bounds=BOUNDS)

    assert run_on(FakeSystem(), plan, bounds=BOUNDS) == run
    assert (system.is_up, system.open_clients) == (False, 0)
    assert system.open_clients_most <= 3 * 3
    calls = [each.called for each in run.history.operations]
    returns = [
        each.returned for each in run.history.operations if each.returned != FOREVER
    ]
    assert calls == sorted(calls)
    assert len({*calls, *returns}) == len(calls) + len(returns)
    last: dict[int, Operation] = {}
    for each in run.history.operations:
        if each.process in last:
            assert last[each.process].returned < each.called
            assert last[each.process].outcome is not Outcome.INFO
        last[each.process] = each


def test_operation_waits_for_its_time_and_for_the_one_before() -> None:
    """A worker is sequential; another worker is not held up by it."""
    system = FakeSystem()
    system.latency_s = 0.02
    run = run_on(
        system, _plan(_write(10), _write(12, value=2), _write(13, worker=1, value=3))
    )

    called = {each.argument: each.called // 10**6 for each in run.history.operations}
    assert (called[1], called[2], called[3]) == (10, 30, 13)


def test_worker_goes_on_as_another_process_after_an_operation_left_open() -> None:
    """A hung operation is INFO after its bound; its process is not used again."""
    hangs = Invoke(0, 1, "n1", "hang")
    run = run_on(
        FakeSystem(), _plan(hangs, _write(1, worker=1), _write(2)), bounds=BOUNDS
    )

    by_call = [(each.process, each.outcome) for each in _asked(run.history.operations)]
    assert by_call == [(1, Outcome.INFO), (0, Outcome.OK), (3, Outcome.OK)]
    first = run.history.operations[0]
    assert first.returned == FOREVER
    assert first.error == "no answer in 100 ms"


def test_refused_operation_keeps_its_process() -> None:
    """What failed for certain leaves nothing open."""
    run = run_on(FakeSystem(), _plan(Invoke(0, 0, "n1", "fail"), _write(1)))

    first, second = _asked(run.history.operations)
    assert (first.outcome, first.error) == (Outcome.FAIL, "never")
    assert (second.process, second.outcome) == (0, Outcome.OK)


def test_worker_goes_on_as_another_process_after_its_session_is_lost() -> None:
    """As after a crash of the client, but that the operation has failed."""
    run = run_on(FakeSystem(), _plan(Invoke(0, 0, "n1", "end"), _write(1)))

    first, second = _asked(run.history.operations)
    assert (first.process, first.outcome) == (0, Outcome.FAIL)
    assert first.error == "never, nor anything else"
    assert (second.process, second.outcome) == (1, Outcome.OK)


def test_exception_of_an_adapter_is_told_and_taken_for_unknown() -> None:
    """Nobody said that it did not happen."""
    run = run_on(FakeSystem(), _plan(Invoke(0, 0, "n1", "break")))

    assert run.history.operations[0].outcome is Outcome.INFO
    assert run.history.operations[0].error == "ZeroDivisionError: an adapter's mistake"


def test_operation_that_could_not_connect_failed() -> None:
    """It was never sent."""
    run = run_on(FakeSystem(), _plan(Strike(0, Kill(("n1",))), _write(1)))

    first = run.history.operations[0]
    assert first.outcome is Outcome.FAIL
    assert first.error.startswith("not connected: ConnectionRefusedError")


def test_faults_come_at_their_times_and_their_spans_are_told() -> None:
    """A pause of 60 ms holds an operation up for as long."""
    faults: tuple[Fault, ...] = (Pause(("n1",)), Resume(("n1",)))
    run = run_on(
        FakeSystem(),
        _plan(Strike(10, faults[0]), _write(20), Strike(70, faults[1])),
        bounds=BOUNDS,
    )

    (span,) = run.history.faults
    assert (span.kind, span.nodes) == ("pause", ("n1",))
    assert (span.began // 10**6, span.ended // 10**6) == (10, 70)
    assert run.history.operations[0].returned // 10**6 == 70
    assert [each.came for each in run.struck] == [True, True]


def test_fault_that_is_not_possible_is_told() -> None:
    """It has no span, and the run goes on."""
    run = run_on(FakeSystem(), _plan(Strike(0, FlipBits("n1")), _write(1)))

    assert [each.error for each in run.struck] == [
        "not possible: a dictionary has no bits"
    ]
    assert run.history.faults == ()
    assert run.errors == ()


class _BrokenAdapter(FakeSystem):
    """Cannot do harm, nor end it."""

    async def inject(self, fault: Fault) -> None:
        """Fail."""
        del fault
        message = "no such tool"
        raise OSError(message)

    async def recover(self) -> None:
        """Fail."""
        message = "still no such tool"
        raise OSError(message)

    async def tear_down(self) -> None:
        """Fail."""
        message = "and never was"
        raise OSError(message)


def test_mistakes_of_an_adapter_are_among_the_errors() -> None:
    """All three of them."""
    run = run_on(_BrokenAdapter(), _plan(Strike(5, Kill(("n1", "n2"))), _write(1)))

    assert run.errors == (
        "kill of n1, n2 at 5 ms failed: OSError: no such tool",
        "ending all faults failed: OSError: still no such tool",
        "tearing down failed: OSError: and never was",
    )
    assert not run.struck[0].came


def test_finals_of_the_last_round_are_at_the_end_of_the_history() -> None:
    """Each node is asked each key, as a process of its own."""
    run = run_on(FakeSystem(), _plan(_write(0), _write(1, worker=1, value=2)))

    finals = run.history.operations[2:]
    assert [(each.f, each.node, each.key, each.result) for each in finals] == [
        ("final-read", node, "x", 2) for node in NODES
    ]
    assert len({each.process for each in run.history.operations}) == 5
    assert run.unsettled is None


def test_nodes_that_never_agree_are_told_after_the_settle_time() -> None:
    """With the first difference, and the last round in the history."""
    run = run_on(DividedSystem(), _plan(_write(0), settle=3_000))

    assert run.unsettled is not None
    assert run.unsettled.reason == (
        "n1 and n2 differ in final-read of 'x': 1 and None,"
        " 3000 ms after all faults had ended"
    )
    assert len(run.history.operations) == 4
    assert 3_000 <= run.elapsed_ms < 3_100


def test_node_that_stays_silent_is_told() -> None:
    """The round ends with it, and the run too."""

    class Silent(FakeSystem):
        async def recover(self) -> None:
            """Leave n2 frozen."""

    plan = _plan(_write(0), Strike(5, Pause(("n2",))), settle=500)
    run = run_on(Silent(), plan, bounds=BOUNDS)

    assert run.unsettled is not None
    assert run.unsettled.reason.startswith(
        "n2 did not answer final-read of 'x': no answer"
    )
    assert run.history.operations[-1].outcome in {Outcome.OK, Outcome.INFO}
    assert [each.outcome for each in run.history.operations if each.node == "n2"] == [
        Outcome.INFO
    ]


def test_operations_of_a_system_that_answers_nothing_are_left_out_in_the_end() -> None:
    """The run ends, and says how many were not asked."""
    hangs = [Invoke(0, 0, "n1", "hang") for _ in range(20)]
    run = run_on(FakeSystem(), _plan(*hangs), bounds=BOUNDS)

    assert len(_asked(run.history.operations)) == 6
    assert run.left_out == 14


def test_progress_is_told_after_each_operation() -> None:
    """From the first to the last."""
    told: list[Progress] = []
    run_on(FakeSystem(), _plan(_write(0), _write(9, value=2)), progress=told.append)

    assert [(each.phase, each.done, each.planned) for each in told] == [
        ("setting up", 0, 2),
        ("running", 0, 2),
        ("running", 1, 2),
        ("running", 2, 2),
        ("settling", 2, 2),
        ("tearing down", 2, 2),
    ]


def test_system_without_a_planned_node_is_refused() -> None:
    """Before anything is started."""
    with pytest.raises(SetUpError, match="fake has no node n2, n3; its nodes are n1"):
        run_on(FakeSystem(nodes=("n1",)), _plan(_write(0)))


def test_system_that_cannot_start_is_torn_down() -> None:
    """What had been started is not left behind."""

    class Unstartable(FakeSystem):
        torn_down = False

        async def set_up(self) -> None:
            """Fail."""
            message = "port in use"
            raise OSError(message)

        async def tear_down(self) -> None:
            """Note it."""
            self.torn_down = True

    system = Unstartable()
    with pytest.raises(SetUpError, match="could not be set up: OSError: port in use"):
        run_on(system, _plan(_write(0)))

    assert system.torn_down


def test_violations_that_a_system_saw_are_in_the_run() -> None:
    """If it looks for them."""

    class Observing(FakeSystem):
        def violations(self) -> tuple[str, ...]:
            """Return one."""
            return ("two leaders",)

    assert run_on(Observing(), _plan(_write(0))).violations == ("two leaders",)
    assert run_on(FakeSystem(), _plan(Strike(0, Start(("n1",))))).violations == ()


def test_history_is_the_same_bytes_in_every_process() -> None:
    """Nothing depends on the hashes of texts."""
    program = (
        "from tests.jepsen_like.runner.test_execution import digest; print(digest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for hash_seed in ("1", "2")
    }

    assert digests == {digest()}


def digest() -> str:
    """The history of one plan, as a hash."""
    plan = plan_of(
        LastWrites(),
        [NEMESES["mixed"], NEMESES["kill"]],
        5,
        NODES,
        Extent(60, 4, 3, 1_000),
    )
    history = run_on(FakeSystem(), plan, bounds=BOUNDS).history
    return sha256(b"".join(encode(history))).hexdigest()


def test_connection_that_cannot_be_closed_is_noted() -> None:
    """It is not what is judged."""

    class Unclosable(FakeSystem):
        async def connect(self, process: int, node: str) -> FakeClient:
            """Return a client that cannot be closed."""
            del process
            return _UnclosableClient(self, node)

    run = run_on(Unclosable(), _plan(_write(0)))

    assert run.errors == ()
    assert run.notes[0] == ("closing the connection of process 0 to n1: OSError: stuck")


class _UnclosableClient(FakeClient):
    async def close(self) -> None:
        """Fail."""
        message = "stuck"
        raise OSError(message)


def test_notes_are_bounded_and_say_how_many_there_were() -> None:
    """A system that fails always says the same."""
    notebook = Notebook()
    for _ in range(NOTES_MAX + 5):
        notebook.note("again")

    assert len(notebook.notes) == NOTES_MAX + 1
    assert notebook.notes[-1] == "and 5 more notes like these"
