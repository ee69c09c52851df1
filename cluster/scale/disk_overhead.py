"""
Measure what a store takes for a key on disk, beside key and value.

    python -m cluster.scale.disk_overhead
    python -m cluster.scale.disk_overhead --keys 100000 --json
    python -m cluster.scale.disk_overhead --key-bytes 16 --value-bytes 0 --sessions
    python -m cluster.scale.disk_overhead --writes-before 4000000000

Three nodes write registers and merge what the others write.  Then all rows of one
node's store on LMDB are looked at:

    overhead = bytes of the rows of a key, keys and data, less key and value

The key is subtracted once, though two rows have it.  The same is done with keys
that are deleted in the end: a minute later, in which all nodes have heard from
each other, whatever is left of them is overhead.

Pages take more than rows: LMDB adds 10 bytes to each, and leaves free what random
keys leave free in a B+ tree.
"""

import asyncio
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from json import dumps
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from cluster.scale.disk_rows import ClosedStore
from cluster.scale.disk_workload import Workload, fill

OVERHEAD_BYTES_AIM = 64
AIM_KEY_BYTES = 16

KEY_BYTES_MIN = 8  # below, random keys may be equal
KEY_BYTES_MAX = 509  # longer ones are stored in another way
KEY_BYTES_DEFAULT = (AIM_KEY_BYTES, 32, 64)
VALUE_BYTES_DEFAULT = (100, 1000)
KEYS_DEFAULT = 10_000


@dataclass(frozen=True, slots=True)
class ClockFigures:
    """Overhead in bytes of the keys with so many writers in their key clocks."""

    writers: int
    keys: int
    overhead_mean: float
    overhead_max: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What one workload left in one store: rows and pages in bytes a key."""

    workload: Workload
    clocks: tuple[ClockFigures, ...]
    row_bytes: float
    page_bytes: float


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left of deleted keys: rows and pages in bytes of all together."""

    workload: Workload
    keys_left: int
    row_bytes: int
    page_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a run."""

    live: tuple[Figures, ...]
    deleted: Remains

    @property
    def overhead_max(self) -> int | None:
        """Return the most that a key of the aim's length takes; None: there is none."""
        overheads = [
            clock.overhead_max
            for figures in self.live
            if figures.workload.key_bytes == AIM_KEY_BYTES
            for clock in figures.clocks
        ]
        return max(overheads, default=None)


async def measure(workload: Workload) -> Figures:
    """Return what *workload* takes in a store of a temporary directory."""
    with TemporaryDirectory(prefix="kvnode-overhead-") as directory:
        store = ClosedStore(await fill(Path(directory), workload))
        overheads = defaultdict(list)
        for rows in store.rows():
            assert rows.entry is not None, "an index row has its entry (I1)"
            writers = len(rows.entry.version.key_clock)
            overheads[writers].append(rows.overhead_bytes)
        room = store.room()
        store.close()
    assert sum(map(len, overheads.values())) == workload.keys, "every key is there"
    clocks = (
        ClockFigures(writers, len(found), sum(found) / len(found), max(found))
        for writers, found in sorted(overheads.items())
    )
    rows_each = room.row_bytes / workload.keys
    pages_each = room.page_bytes / workload.keys
    return Figures(workload, tuple(clocks), rows_each, pages_each)


async def measure_deleted(workload: Workload) -> Remains:
    """Return what is left of *workload* when all its keys have been deleted."""
    with TemporaryDirectory(prefix="kvnode-overhead-") as directory:
        path = await fill(Path(directory), workload, deleted=True)
        store = ClosedStore(path)
        keys_left = sum(1 for _ in store.rows())
        room = store.room()
        store.close()
    return Remains(workload, keys_left, room.row_bytes, room.page_bytes)


async def measure_all(workloads: Sequence[Workload]) -> Report:
    """Return the figures of *workloads*, and of the first when it is deleted."""
    live = [await measure(workload) for workload in workloads]
    return Report(tuple(live), await measure_deleted(workloads[0]))


def print_report(console: Console, report: Report) -> None:
    """Print *report* as tables, and how it stands to the aims."""
    overhead = _table("key", "value", "writers", "keys", "overhead", "at most")
    stores = _table("key", "value", "keys", "rows", "pages", "filled")
    for figures in report.live:
        work = figures.workload
        sizes = (f"{work.key_bytes}", f"{work.value_bytes}")
        for clock in figures.clocks:
            of_clock = (f"{clock.writers}", f"{clock.keys}")
            mean, most = f"{clock.overhead_mean:.1f}", f"{clock.overhead_max}"
            overhead.add_row(*sizes, *of_clock, mean, most)
        per_key = (f"{figures.row_bytes:.1f}", f"{figures.page_bytes:.1f}")
        filled = f"{100 * figures.row_bytes / figures.page_bytes:.0f} %"
        stores.add_row(*sizes, f"{work.keys}", *per_key, filled)
    console.print("Bytes of a key's rows beside key and value:", overhead)
    console.print("Bytes a key of all rows, and of the pages in use:", stores)
    if report.overhead_max is not None:
        console.print(
            f"Keys of {AIM_KEY_BYTES} bytes take at most {report.overhead_max} bytes"
            f" of overhead; the aim is {OVERHEAD_BYTES_AIM}."
        )
    gone = report.deleted
    console.print(
        f"Of {gone.workload.keys} deleted keys {gone.keys_left} have rows left, of"
        f" {gone.row_bytes} bytes in pages of {gone.page_bytes}; the aim is 0."
    )


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, justify="right")
    return table


def parse_options(arguments: Sequence[str]) -> Namespace:
    """Return the options of a command line; SystemExit if they are none."""
    parser = ArgumentParser(
        prog="python -m cluster.scale.disk_overhead",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--keys", type=int, default=KEYS_DEFAULT, help="keys in each store"
    )
    parser.add_argument(
        "--key-bytes", type=int, nargs="+", default=KEY_BYTES_DEFAULT, help="how long"
    )
    parser.add_argument(
        "--value-bytes",
        type=int,
        nargs="+",
        default=VALUE_BYTES_DEFAULT,
        help="how long",
    )
    parser.add_argument(
        "--sessions",
        action="store_true",
        help="writers have read all that their node has, so that writes depend on it",
    )
    parser.add_argument(
        "--writes-before", type=int, default=0, help="how many each node has made"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead")
    options = parser.parse_args(arguments)
    if not all(KEY_BYTES_MIN <= size <= KEY_BYTES_MAX for size in options.key_bytes):
        parser.error(f"keys have {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes here")
    if options.keys < 1 or options.writes_before < 0 or min(options.value_bytes) < 0:
        parser.error("there is at least one key, and no length is below 0")
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the command; missing an aim is a result, not a failure."""
    options = parse_options(arguments)
    workloads = [
        Workload(
            options.keys,
            key_bytes,
            value_bytes,
            sessions=options.sessions,
            writes_before=options.writes_before,
        )
        for key_bytes, value_bytes in product(options.key_bytes, options.value_bytes)
    ]
    report = asyncio.run(measure_all(workloads))
    if options.json:
        figures = asdict(report) | {"overhead_max": report.overhead_max}
        sys.stdout.write(dumps(figures, indent=2) + "\n")
    else:
        print_report(Console(), report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
