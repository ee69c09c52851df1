"""Jepsen's log of etcd: its lines, and what means what there."""

import pytest

from jepsen_like.history import FaultSpan, MalformedHistoryError
from jepsen_like.readers import jepsen_log
from tests.jepsen_like.readers.told import brief, source


def _read(*lines: str) -> list[tuple[object, ...]]:
    text = "\n".join(f"INFO  jepsen.util - {line}" for line in lines)
    return [brief(each) for each in jepsen_log.read(source(text)).operations]


def test_refused_comparison_is_an_observation() -> None:
    """`:fail :cas` with its own values says that the value was another."""
    assert _read("1\t:invoke\t:cas\t[0 3]", "1\t:fail\t:cas\t[0 3]") == [
        (1, "cas", (0, 3), False, "ok")
    ]


def test_accepted_comparison_is_one_too() -> None:
    """Spaces separate as tabs do."""
    assert _read("1 :invoke :cas [0 3]", "1 :ok :cas [0 3]") == [
        (1, "cas", (0, 3), True, "ok")
    ]


@pytest.mark.parametrize("told", [":timed-out", "[0 3]\t:connection-refused"])
def test_comparison_that_failed_otherwise_never_happened(told: str) -> None:
    """A reason, in place of the values or after them, is no answer of the store."""
    assert _read("1\t:invoke\t:cas\t[0 3]", f"1\t:fail\t:cas\t{told}") == [
        (1, "cas", (0, 3), None, "fail")
    ]


def test_keys_of_independent_tests_are_taken_apart() -> None:
    """Later versions test many registers at once."""
    history = jepsen_log.read(
        source(
            "".join(
                f"INFO jepsen.util - {line}\n"
                for line in (
                    "1\t:invoke\t:cas\t[9 [0 3]]",
                    "2\t:invoke\t:read\t[8 nil]",
                    "1\t:fail\t:cas\t[9 [0 3]]",
                    "2\t:ok\t:read\t[8 5]",
                )
            )
        )
    )

    assert [(each.key, *brief(each)[1:]) for each in history.operations] == [
        (9, "cas", (0, 3), False, "ok"),
        (8, "read", None, 5, "ok"),
    ]


def test_read_of_nothing_is_an_observation() -> None:
    """The key was absent: `nil` is what it held."""
    assert _read("1\t:invoke\t:read\tnil", "1\t:ok\t:read\tnil") == [
        (1, "read", None, None, "ok")
    ]


def test_read_that_timed_out_never_happened() -> None:
    """It changes nothing, so Jepsen knows."""
    assert _read("1\t:invoke\t:read\tnil", "1\t:fail\t:read\t:timed-out") == [
        (1, "read", None, None, "fail")
    ]


def test_write_that_timed_out_may_happen_for_ever() -> None:
    """So may one of which nothing more is told."""
    assert _read(
        "1\t:invoke\t:write\t4", "2\t:invoke\t:write\t5", "1\t:info\t:write\t:timed-out"
    ) == [(1, "write", 4, None, "info"), (2, "write", 5, None, "info")]


def test_other_lines_are_passed_over() -> None:
    """A whole log may be given, also one of a later Jepsen."""
    history = jepsen_log.read(
        source(
            "WARN something\n"
            "INFO  jepsen.core - Everything looks good!\n"
            "2020-01-02 03:04:05,678{GMT}\tINFO\t[jepsen worker 0] jepsen.util:"
            " 0\t:invoke\t:write\t-3\n"
            "INFO [x] jepsen.util - :nemesis\t:info\t:start\tnil\n"
            'INFO [x] jepsen.util - :nemesis\t:info\t:stop\t"fully connected"\n'
        )
    )

    assert [brief(each) for each in history.operations] == [
        (0, "write", -3, None, "info")
    ]
    assert history.faults == (FaultSpan("fault", 1, 2, (), "nil"),)


def test_empty_log_is_an_empty_history() -> None:
    """A cluster that never came up was asked nothing."""
    assert jepsen_log.read(source("")).operations == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [("1\t:invoke\t:cas\t3", "expected new"), ("1\t:invoke\t:pop\t3", "'pop'")],
)
def test_line_that_the_model_does_not_know_is_refused(line: str, message: str) -> None:
    """Better than a verdict on half of it."""
    with pytest.raises(MalformedHistoryError, match=message):
        _read(line)


def test_value_that_is_not_edn_is_refused_with_its_line() -> None:
    """A torn log is found where it is torn."""
    with pytest.raises(MalformedHistoryError, match="h:2"):
        _read("1\t:invoke\t:write\t1", "1\t:ok\t:write\t[1")
