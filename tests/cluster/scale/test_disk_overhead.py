"""What a key takes on disk, measured on real stores with real key clocks."""

import json

import pytest

from cluster.scale.disk_overhead import (
    AIM_KEY_BYTES,
    OVERHEAD_BYTES_AIM,
    Report,
    main,
    measure,
    measure_all,
    measure_deleted,
    parse_options,
)
from cluster.scale.disk_workload import Workload

KEYS = 60
SMALL = Workload(KEYS, AIM_KEY_BYTES, value_bytes=20)


@pytest.mark.parametrize("writes_before", [0, 2**24, 2**32, 2**48 - 1000])
async def test_register_of_three_writers_takes_at_most_64_bytes(
    writes_before: int,
) -> None:
    """However much its writers have written before."""
    workload = Workload(KEYS, AIM_KEY_BYTES, 20, writes_before=writes_before)

    figures = await measure(workload)

    assert [(clock.writers, clock.keys) for clock in figures.clocks] == [
        (1, KEYS / 3),
        (2, KEYS / 3),
        (3, KEYS / 3),
    ]
    assert all(c.overhead_max <= OVERHEAD_BYTES_AIM for c in figures.clocks)


@pytest.mark.parametrize("key_bytes", [8, 16, 100])
async def test_overhead_is_the_key_once_more_and_a_few_dots(key_bytes: int) -> None:
    """27 + k + n d, as docs/decisions/0016 says, of seqs of four bytes."""
    workload = Workload(KEYS, key_bytes, value_bytes=0, writes_before=2**24)

    figures = await measure(workload)

    for clock in figures.clocks:
        lists = clock.writers > 1
        assert clock.overhead_max == 26 + key_bytes + lists + 5 * clock.writers
        assert clock.overhead_mean == clock.overhead_max


async def test_sessions_that_have_read_all_add_a_dot_for_each_other_node() -> None:
    """What a write depends on is in its record."""
    without = await measure(Workload(KEYS, AIM_KEY_BYTES, 0, writes_before=2**24))
    figures = await measure(
        Workload(KEYS, AIM_KEY_BYTES, 0, sessions=True, writes_before=2**24)
    )

    for clock, plain in zip(figures.clocks, without.clocks, strict=True):
        assert clock.overhead_max == plain.overhead_max + 1 + 2 * 5


async def test_rows_and_pages_hold_keys_values_and_overhead() -> None:
    """Pages are never less than what is in them."""
    figures = await measure(SMALL)

    mean = sum(c.overhead_mean * c.keys for c in figures.clocks) / KEYS
    given = SMALL.key_bytes + SMALL.value_bytes
    assert figures.row_bytes == pytest.approx(given + mean)
    assert figures.page_bytes > figures.row_bytes


async def test_nothing_is_left_of_deleted_keys_once_that_is_stable() -> None:
    """G1: all nodes have heard of the deletions, and time has passed."""
    remains = await measure_deleted(SMALL)

    assert remains.keys_left == 0
    assert remains.row_bytes == 0


async def test_the_aim_is_judged_by_keys_of_its_length() -> None:
    """Longer ones take more; without any there is no verdict."""
    longer = Workload(KEYS, 100, 0)

    report = await measure_all([longer, SMALL])

    assert report.overhead_max is not None
    assert report.overhead_max <= OVERHEAD_BYTES_AIM
    assert Report(report.live[:1], report.deleted).overhead_max is None


def test_command_prints_figures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For other programs to read."""
    options = "--keys 30 --key-bytes 16 40 --value-bytes 0 --json"

    assert main(options.split()) == 0

    figures = json.loads(capsys.readouterr().out)
    shapes = [live["workload"]["key_bytes"] for live in figures["live"]]
    assert shapes == [16, 40]
    assert figures["overhead_max"] <= OVERHEAD_BYTES_AIM
    assert figures["deleted"]["workload"]["keys"] == 30


def test_command_prints_a_verdict_for_people(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the aim beside it."""
    main(["--keys", "30", "--key-bytes", "16", "--value-bytes", "0"])

    printed = " ".join(capsys.readouterr().out.split())
    assert "of overhead; the aim is 64" in printed
    assert "30 deleted keys" in printed


@pytest.mark.parametrize(
    "options",
    ["--key-bytes 7", "--key-bytes 16 510", "--keys 0", "--value-bytes -1"],
)
def test_options_out_of_range_are_refused(options: str) -> None:
    """Before anything is written."""
    with pytest.raises(SystemExit):
        parse_options(options.split())
