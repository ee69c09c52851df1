"""The lattice of models and the anomalies that each forbids."""

import pytest

from jepsen_like.checkers.elle.anomalies import (
    LEVELS,
    PLAINEST_FIRST,
    contradicted_by,
    forbidden_by,
)


def test_strict_serializability_forbids_everything_and_nothing_weaker_does() -> None:
    """It is the top of the lattice."""
    everything = [level for level in LEVELS if forbidden_by(level) >= {*PLAINEST_FIRST}]

    assert everything == ["strict-serializable"]


@pytest.mark.parametrize(
    ("anomaly", "weakest"),
    [
        ("G0", {"read-uncommitted"}),
        ("duplicate-elements", {"read-uncommitted"}),
        ("cyclic-versions", {"read-uncommitted"}),
        ("G1a", {"read-committed"}),
        ("G1b", {"read-committed"}),
        ("G1c", {"read-committed"}),
        ("incompatible-order", {"read-committed"}),
        ("dirty-update", {"read-committed"}),
        ("garbage-read", {"read-committed"}),
        ("future-read", {"read-committed"}),
        ("internal", {"snapshot-isolation"}),
        ("lost-update", {"repeatable-read", "snapshot-isolation"}),
        ("G-single", {"repeatable-read", "snapshot-isolation"}),
        ("G-nonadjacent", {"repeatable-read", "snapshot-isolation"}),
        ("G2-item", {"repeatable-read"}),
        ("G0-process", {"strong-session-snapshot-isolation"}),
        ("G1c-process", {"strong-session-snapshot-isolation"}),
        ("G-single-process", {"strong-session-snapshot-isolation"}),
        ("G2-item-process", {"strong-session-serializable"}),
        ("G0-realtime", {"strong-snapshot-isolation"}),
        ("G-nonadjacent-realtime", {"strong-snapshot-isolation"}),
        ("G2-item-realtime", {"strict-serializable"}),
    ],
)
def test_anomaly_contradicts_its_model_and_all_that_imply_it(
    anomaly: str, weakest: set[str]
) -> None:
    """The weakest models that forbid it are as in the literature."""
    contradicted = contradicted_by([anomaly])

    smallest = {
        level
        for level in contradicted
        if not any(forbidden_by(other) < forbidden_by(level) for other in contradicted)
    }
    assert smallest == weakest
    assert contradicted[-1] == "strict-serializable"


def test_write_skew_alone_leaves_snapshot_isolation_standing() -> None:
    """G2-item is exactly what snapshot isolation permits beyond serializability."""
    assert "snapshot-isolation" not in contradicted_by(["G2-item"])
    assert "serializable" in contradicted_by(["G2-item"])


def test_unknown_level_is_an_error_that_lists_the_known() -> None:
    """A misspelt level must not forbid nothing."""
    with pytest.raises(ValueError, match="read-uncommitted"):
        forbidden_by("serialisable")
