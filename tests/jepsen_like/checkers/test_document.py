"""Documents: every marker once, and nothing else."""

from random import Random

import pytest

from jepsen_like.checkers import document
from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import FOREVER, Operation, Outcome
from jepsen_like.verdict import Verdict
from tests.jepsen_like.examples import examples

NODES = ("n1", "n2")


def run_of(texts: tuple[str, ...], outcomes: dict[str, Outcome]) -> History:
    """Return a run in which markers were added and each node has one of *texts*."""
    insertions = [
        Operation(
            place,
            "append",
            "d",
            marker,
            None,
            10 * place,
            FOREVER if outcome is Outcome.INFO else 10 * place + 5,
            outcome,
            "n1",
        )
        for place, (marker, outcome) in enumerate(outcomes.items())
    ]
    finals = [
        Operation(90, "final-text", "d", None, text, 1000, 1001, Outcome.OK, node)
        for node, text in zip(NODES, texts, strict=False)
    ]
    return History.of([*insertions, *finals])


def drawn(random: Random) -> tuple[dict[str, Outcome], list[str]]:
    """Return markers with outcomes, and those that a document holds, in any order."""
    outcomes = {
        f"<{number}>": random.choice(
            [Outcome.OK, Outcome.OK, Outcome.INFO, Outcome.FAIL]
        )
        for number in range(random.randrange(1, 15))
    }
    held = [
        marker
        for marker, outcome in outcomes.items()
        if outcome is Outcome.OK or (outcome is Outcome.INFO and random.random() < 0.5)
    ]
    random.shuffle(held)
    return outcomes, held


def test_text_is_valid_if_and_only_if_each_marker_is_there_as_it_must() -> None:
    """Leaving out, doubling, garbling or adding one marker flips the verdict."""
    for seed in range(examples(500)):
        random = Random(seed)
        outcomes, held = drawn(random)
        good = "".join(held)
        assert document.check(run_of((good, good), outcomes)).verdict is Verdict.VALID
        failed = [m for m, outcome in outcomes.items() if outcome is Outcome.FAIL]
        bad = [[*held, "?"], [*held, "<99>"], *([*held, marker] for marker in failed)]
        for marker in held:
            bad.append([*held, marker])
            if outcomes[marker] is Outcome.OK:
                bad.append([each for each in held if each != marker])
            bad.append([each[:-1] if each == marker else each for each in held])
        for text in bad:
            judgement = document.check(run_of((good, "".join(text)), outcomes))
            assert judgement.verdict is Verdict.INVALID, (seed, text)


def test_text_shows_nothing_from_the_future() -> None:
    """A marker is not read before it was asked for."""
    early = Operation(5, "text", "d", None, "<0>", 0, 1, Outcome.OK, "n2")
    late = Operation(1, "append", "d", "<0>", None, 10, 12, Outcome.OK, "n1")
    final = Operation(90, "final-text", "d", None, "<0>", 20, 21, Outcome.OK, "n1")

    judgement = document.check(History.of([early, late, final]))

    assert judgement.witnesses[0].kind == "from the future"


def test_insertion_may_be_gone_with_its_nodes_store() -> None:
    """What only a wiped node had is nobody's loss."""
    history = run_of(("", ""), {"<0>": Outcome.OK})
    wiped = History.of(history.operations, [FaultSpan("wipe", 10, 20, ("n1",))])

    assert document.check(history).witnesses[0].kind == "lost insertion"
    assert document.check(wiped).verdict is Verdict.VALID


@pytest.mark.parametrize("markers", [("a", "ab"), ("", "a")])
def test_markers_that_cannot_be_told_apart_are_unknown(
    markers: tuple[str, ...],
) -> None:
    """A text of them has more than one reading."""
    history = run_of(("".join(markers),), dict.fromkeys(markers, Outcome.OK))

    assert document.check(history).verdict is Verdict.UNKNOWN


def test_documents_never_read_at_the_end_are_unknown() -> None:
    """Insertions alone show nothing."""
    assert document.check(run_of((), {"<0>": Outcome.OK})).verdict is Verdict.UNKNOWN
