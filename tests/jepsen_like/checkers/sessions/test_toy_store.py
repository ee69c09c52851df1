"""Guarantees of a store with sessions, right or broken on purpose, and rewrites."""

from collections.abc import Callable
from random import Random

import pytest

from jepsen_like.benchmarks.isolation import (
    Extent,
    Flaw,
    made_by_toy_store,
    rank_of_version,
)
from jepsen_like.checkers.sessions import GUARANTEES, check
from jepsen_like.checkers.sessions.contradictions import contradictions
from jepsen_like.checkers.sessions.demands import demands_of
from jepsen_like.checkers.sessions.guarantees import Guarantee
from jepsen_like.checkers.sessions.observations import observe
from jepsen_like.checkers.sessions.ranked import violations
from jepsen_like.history.history import History
from jepsen_like.history.operation import Operation
from jepsen_like.verdict import Verdict
from tests.jepsen_like.checkers.sessions.histories import (
    Shown,
    by_chance,
    of_operations,
)
from tests.jepsen_like.examples import examples

pytestmark = pytest.mark.no_cover  # see tests/conftest.py

EXTENT = Extent(operations=300, sessions=6, keys=12, replicas=3, pull_every=1)


def unversioned(history: History) -> History:
    """Return *history* as a store tells it that shows no versions."""
    return of_operations(one._replace(version="") for one in history.operations)


def wandering(history: History, seed: int) -> History:
    """Return *history* with sessions that change replicas, so that some go back."""
    random = Random(seed)
    return of_operations(
        one._replace(process=random.randrange(6)) for one in history.operations
    )


def broken(shown: Shown | History) -> set[str]:
    """The guarantees that are broken, with ranks if they are shown."""
    judgements = (
        check(shown.history, order_of=shown.order_of)
        if isinstance(shown, Shown)
        else check(shown, order_of=rank_of_version)
    )
    return {one.checker for one in judgements if one.verdict is Verdict.INVALID}


def test_causal_store_keeps_all_guarantees() -> None:
    """With versions and without."""
    for seed in range(examples(30)):
        history = made_by_toy_store(seed, EXTENT)
        for judged in (history, unversioned(history)):
            for judgement in check(judged, order_of=rank_of_version):
                assert judgement.verdict is Verdict.VALID, (seed, judgement)


def test_store_that_applies_writes_late_is_found() -> None:
    """Effects are seen without causes there; with versions nearly always."""
    count = examples(20)
    found: set[str] = set()
    hits = 0
    for seed in range(count):
        bad = broken(made_by_toy_store(seed, EXTENT, Flaw.LATE, every=2))
        found |= bad
        hits += bool(bad)
    assert hits > count / 2
    assert {"monotonic-writes", "writes-follow-reads"} <= found


def test_sessions_that_wander_between_replicas_are_found() -> None:
    """Without tokens a client misses its own writes and sees reads go back."""
    found = set().union(
        *(
            broken(wandering(made_by_toy_store(seed, EXTENT), seed))
            for seed in range(examples(20))
        )
    )
    assert found == set(GUARANTEES)


def test_walk_over_ranks_agrees_with_the_search_for_contradictions() -> None:
    """Two algorithms, one answer."""
    seen: set[frozenset[Guarantee]] = set()
    for seed in range(examples(30)):
        flaw = Flaw.LATE if seed % 3 else Flaw.NONE
        history = made_by_toy_store(seed, EXTENT, flaw, every=3)
        if seed % 2:
            history = wandering(history, seed)
        observations = observe(history, rank_of_version, lambda one: one.result)
        assert observations.ranked()

        walked = {Guarantee(demand.kind) for demand, _ in violations(observations)}

        assert walked == set(contradictions(demands_of(observations))), seed
        seen.add(frozenset(walked))
    assert len(seen) > 2


def test_hiding_versions_only_hides_contradictions() -> None:
    """What is certain without versions is certain with them, of some guarantee."""
    alarms = 0
    for seed in range(examples(30)):
        history = wandering(made_by_toy_store(seed, EXTENT), seed)
        if broken(unversioned(history)):
            alarms += 1
            assert broken(history), seed
    assert alarms


def renamed(shown: Shown, random: Random) -> Shown:
    """Return *shown* with other processes, keys and values."""
    processes = random.sample(range(1_000), 3)
    keys = random.sample(range(1_000), 2)

    def rename(one: Operation) -> Operation:
        assert isinstance(one.key, int)
        argument = None if one.argument is None else f"value {one.argument}"
        result = None if one.result is None else f"value {one.result}"
        return one._replace(
            process=processes[one.process],
            key=keys[one.key],
            argument=argument,
            result=result,
        )

    operations = map(rename, shown.history.operations)
    return Shown(of_operations(operations), shown.ranks)


def spread(shown: Shown, random: Random) -> Shown:
    """Return *shown* with ranks further apart."""
    more = random.randrange(1, 1_000)
    ranks = {call: 7 * rank + more for call, rank in shown.ranks.items()}
    return Shown(shown.history, ranks)


def interleaved(shown: Shown, random: Random) -> Shown:
    """Return *shown* with its sessions interleaved in another way."""
    waiting: dict[int, list[Operation]] = {}
    for one in shown.history.operations:
        waiting.setdefault(one.process, []).append(one)
    operations = []
    while waiting:
        process = random.choice(sorted(waiting))
        operations.append(waiting[process].pop(0))
        if not waiting[process]:
            del waiting[process]
    return Shown(of_operations(operations), shown.ranks)


@pytest.mark.parametrize("rewrite", [renamed, spread, interleaved])
@pytest.mark.parametrize("ranked", [0.0, 0.5, 1.0])
def test_rewriting_preserves_verdicts(
    rewrite: Callable[[Shown, Random], Shown], ranked: float
) -> None:
    """Names mean nothing to a guarantee, and neither does the time between sessions."""
    for seed in range(examples(400)):
        shown = by_chance(Random(seed), deletes=seed % 2 == 0, ranked=ranked)
        assert broken(shown) == broken(rewrite(shown, Random(seed))), seed


@pytest.mark.parametrize("versions", [True, False])
def test_witness_is_contradictory_by_itself(
    versions: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """Its operations alone break the guarantee of which it is the witness."""
    shown = 0
    for seed in range(examples(30)):
        bad = wandering(made_by_toy_store(seed, EXTENT), seed)
        if not versions:
            bad = unversioned(bad)
        for judgement in check(bad, order_of=rank_of_version):
            for witness in judgement.witnesses:
                alone = of_operations(witness.operations)
                assert judgement.checker in broken(alone), (seed, witness)
                shown += 1
    assert shown
