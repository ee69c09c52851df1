"""The command that shows what differences cost finds them all, each time alike."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.scale import differences
from cluster.scale.differences import Figure, main
from kvnode.core.replication.range_reconciliation import RangeSession


def figures(
    capsys: pytest.CaptureFixture[str], directory: Path, keys: int, counts: str
) -> list[Figure]:
    """Run the command; return its figures but for times."""
    arguments = ["--keys", str(keys), "--differences", counts, "--json"]

    assert main([*arguments, "--directory", str(directory)]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["keys"] == keys
    return [
        replace(Figure(**figure), prepare_seconds=0.0, seconds=0.0, longest_step_ms=0.0)
        for figure in told["figures"]
    ]


def test_both_roads_find_what_was_written_at_bounded_cost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """And in the end the two stores hold the same: else the status would be 1."""
    found = figures(capsys, tmp_path, 5000, "1,100")

    assert [(figure.differing_keys, figure.road) for figure in found] == [
        (1, "clock"),
        (1, "ranges"),
        (100, "clock"),
        (100, "ranges"),
    ]
    for figure, bytes_max in zip(found, (150, 800, 1000, 16_000), strict=True):
        assert figure.bytes_to_first + figure.bytes_to_second <= bytes_max
        assert figure.messages <= 7
    assert found[1].entry_bytes == 2 * 187  # the old entry and the new one


def test_bytes_and_messages_are_the_same_in_every_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Everything is drawn from one seed."""
    assert figures(capsys, tmp_path, 300, "3,20") == figures(
        capsys, tmp_path, 300, "3,20"
    )


def test_difference_that_was_not_found_is_reported(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A measurement of a wrong answer is worth nothing."""

    class Forgetful(RangeSession):
        """Never finds the last difference."""

        def __setattr__(self, name: str, value: object) -> None:
            if name == "finished" and value:
                self.lacked.pop()
            super().__setattr__(name, value)

    monkeypatch.setattr(differences, "RangeSession", Forgetful)

    status = main(["--keys", "300", "--differences", "3", "--directory", str(tmp_path)])

    assert status == 1
    assert "wrong: 2 entries were found; 3 were written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--keys", "0"], ["--keys", "5", "--differences", "6"]]
)
def test_numbers_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    """Before anything is written."""
    with pytest.raises(SystemExit):
        main(arguments)
