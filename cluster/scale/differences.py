"""
What it costs to find and mend so many differences among so many keys.

    python -m cluster.scale.differences
    python -m cluster.scale.differences --keys 20000 --differences 1,50 --json

Two stores on disk hold the same; then some keys are written at the second one
alone.  What the first one lacks is got over two roads, and all that would be
sent is encoded as on the wire and counted:

    clock     a delta (kvnode.core.replication.delta): the usual road, for which
              the clocks must tell what is lacking
    ranges    range-based reconciliation, which believes no clock: what D9 leaves
              to be done when equal clocks hide different entries.  A changed key
              counts twice, by its old and by its new entry

Then the two are mended by what the ranges found, must have equal digests, and go
on to the next number of differences.  The exit status is 1 if a road found
anything else than what was written.

Seconds are processor time: "prepare" is the scan of one store, the rest the work
of both sides; the longest step has pauses of the garbage collector in it.
Everything is drawn from one seed, so bytes and messages are the same in every run.
"""

import asyncio
import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import thread_time
from typing import TextIO

from cluster.scale.difference_sites import Site, key_of
from kvnode.core.replication.delta import delta_pages
from kvnode.core.replication.entry_scan import ResultT, Steps
from kvnode.core.replication.item_index import ItemIndex, index_items
from kvnode.core.replication.messages import (
    DeltaAcknowledgement,
    DeltaRequest,
    wire_entry,
)
from kvnode.core.replication.range_message import RangeMessage
from kvnode.core.replication.range_reconciliation import RangeSession
from kvnode.core.versions.version import Entry
from kvnode.runtime.delta_server import WINDOW_PAGES
from kvnode.transport.wire import encode_message
from kvnode.types import EntryKey

SEED = 20240229
SESSION = 2**63 + 5  # a session's number as it is drawn: nine or ten bytes long
PAGE_BYTES = 256 * 1024  # the default of the setting delta_page_bytes
ENVELOPE_BYTES = 24
"""Around a range message: tags and lengths of two levels, and the session."""

MILLIS_PER_SECOND = 1000


class WrongAnswerError(Exception):
    """A road found something else than what was written."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one road has cost; bytes without the entries themselves."""

    differing_keys: int
    road: str
    bytes_to_first: int
    bytes_to_second: int
    entry_bytes: int
    messages: int
    round_trips: float
    prepare_seconds: float
    seconds: float
    longest_step_ms: float


Rows = list[tuple[EntryKey, Entry]]


class Stopwatch:
    """Takes steps of work, and notes how long they are."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.longest = 0.0

    def run(self, steps: Steps[ResultT]) -> ResultT:
        """Return the result of *steps*."""
        while True:
            began = thread_time()
            try:
                next(steps)
            except StopIteration as stop:
                result: ResultT = stop.value
                return result
            finally:
                self._note(thread_time() - began)

    def rows(self, slices: Iterable[Rows]) -> Rows:
        """Return all rows of *slices*."""

        def steps() -> Steps[Rows]:
            rows: Rows = []
            for few in slices:
                rows += few
                yield
            return rows

        return self.run(steps())

    def _note(self, seconds: float) -> None:
        self.seconds += seconds
        self.longest = max(self.longest, seconds)


def by_clock(first: Site, second: Site, differing_keys: int) -> Figure:
    """
    Count a delta from *second* for the clock of *first*.

    Raises:
        WrongAnswerError: It does not hold as many entries as keys differ.
    """
    began = thread_time()
    clock = first.store.state().clock
    wanted = DeltaRequest(SESSION, clock)
    request = encode_message(wanted).SerializeToString()
    sizes: list[int] = []
    entry_bytes = entries = acknowledged = 0
    longest = 0.0
    with second.store.snapshot() as view:
        pages = delta_pages(view, wanted, page_bytes=PAGE_BYTES)
        before = began
        for page in pages:
            if page is not None:
                message = encode_message(page)
                delta = message.delta_page
                sizes.append(len(message.SerializeToString()))
                entry_bytes += sum(each.ByteSize() for each in delta.entries)
                entries += len(page.entries)
                answer = encode_message(DeltaAcknowledgement(SESSION, page.number))
                acknowledged += len(answer.SerializeToString())
            now = thread_time()
            longest, before = max(longest, now - before), now
    if entries != differing_keys:
        msg = f"the delta has {entries} entries; {differing_keys} were written"
        raise WrongAnswerError(msg)
    return Figure(
        differing_keys,
        "clock",
        bytes_to_first=sum(sizes) - entry_bytes,
        bytes_to_second=len(request) + acknowledged,
        entry_bytes=entry_bytes,
        messages=1 + 2 * len(sizes),
        round_trips=-(-len(sizes) // WINDOW_PAGES),
        prepare_seconds=0.0,
        seconds=thread_time() - began,
        longest_step_ms=longest * MILLIS_PER_SECOND,
    )


async def by_ranges(
    first: Site, second: Site, differing: Sequence[EntryKey], salt: int
) -> Figure:
    """
    Find by ranges what differs, and mend both sites.

    Raises:
        WrongAnswerError: Anything else than *differing* was found, or the two
            do not hold the same in the end.
    """
    preparing, working = Stopwatch(), Stopwatch()
    indexes = [_indexed(site, preparing) for site in (first, second)]
    sessions = [RangeSession(index) for index in indexes]
    sizes: list[list[int]] = []
    due, speaker = sessions[0].begin(salt), 0
    while due:
        encoded = [message.encode() for message in due]
        sizes.append([len(raw) + ENVELOPE_BYTES for raw in encoded])
        speaker = 1 - speaker
        for raw in encoded:
            due = working.run(sessions[speaker].receive(RangeMessage.decode(raw)))
    moved: list[Rows] = []
    for site, index, session in zip((first, second), indexes, sessions, strict=True):
        with site.store.snapshot() as view:
            moved.append(working.rows(index.entries(session.lacked, view)))
    _check(moved, differing)
    await first.repair(moved[1])
    await second.repair(moved[0])
    if first.store.state().digest != second.store.state().digest:
        msg = "the two do not hold the same after the repair"
        raise WrongAnswerError(msg)
    return Figure(
        len(differing),
        "ranges",
        bytes_to_first=sum(map(sum, sizes[1::2])),
        bytes_to_second=sum(map(sum, sizes[::2])),
        entry_bytes=sum(wire_entry(*row).size_bytes for rows in moved for row in rows),
        messages=sum(map(len, sizes)),
        round_trips=len(sizes) / 2,
        prepare_seconds=preparing.seconds / 2,
        seconds=working.seconds,
        longest_step_ms=max(preparing.longest, working.longest) * MILLIS_PER_SECOND,
    )


def _indexed(site: Site, stopwatch: Stopwatch) -> ItemIndex:
    with site.store.snapshot() as view:
        return stopwatch.run(index_items(view))


def _check(moved: list[Rows], differing: Sequence[EntryKey]) -> None:
    for rows in moved:
        if sorted(key for key, _ in rows) != sorted(differing):
            msg = f"{len(rows)} entries were found; {len(differing)} were written"
            raise WrongAnswerError(msg)


async def measure(
    directory: Path,
    *,
    key_count: int,
    differences: Sequence[int],
    tell: Callable[[str], None],
) -> list[Figure]:
    """
    Return the figures of both roads for each number of *differences*.

    Args:
        directory: Empty; takes two stores of about 300 bytes a key.
        key_count: Keys in each store.
        differences: Keys written at the second store alone, each at most
            *key_count*.
        tell: Is told what is under way.

    Raises:
        WrongAnswerError: A road found something else than what was written.
    """
    rng = Random(SEED)  # noqa: S311 -- reproducible, and no secret
    figures: list[Figure] = []
    tell(f"writing {key_count} keys")
    first = Site(directory / "first", first_replica=rng.getrandbits(63))
    await first.write(range(key_count), round_number=0)
    second = first.copied_to(directory / "second", first_replica=rng.getrandbits(63))
    try:
        for round_number, differing_keys in enumerate(differences, start=1):
            tell(f"changing {differing_keys} of them, and finding which")
            numbers = rng.sample(range(key_count), differing_keys)
            await second.write(numbers, round_number)
            figures.append(by_clock(first, second, differing_keys))
            keys = [key_of(number) for number in numbers]
            salt = rng.getrandbits(64) | 1
            figures.append(await by_ranges(first, second, keys, salt))
            await first.cover(second)
    finally:
        first.store.close()
        second.store.close()
    return figures


HEADINGS = (
    "differing  road    to first  to second    entries  messages  round trips"
    "  prepare s  seconds  longest step"
)


def as_line(figure: Figure) -> str:
    """Return *figure* as a row below HEADINGS."""
    return (
        f"{figure.differing_keys:>9}  {figure.road:<6}  {figure.bytes_to_first:>8}"
        f"  {figure.bytes_to_second:>9}  {figure.entry_bytes:>9}"
        f"  {figure.messages:>8}  {figure.round_trips:>11.1f}"
        f"  {figure.prepare_seconds:>9.2f}  {figure.seconds:>7.2f}"
        f"  {figure.longest_step_ms:>9.1f} ms"
    )


def positive(text: str) -> int:
    """Return the number, at least 1, that *text* is."""
    number = int(text)
    if number < 1:
        msg = f"{number} is less than 1"
        raise ArgumentTypeError(msg)
    return number


def numbers(text: str) -> list[int]:
    """Return the numbers, each at least 1, that *text* lists."""
    return [positive(part) for part in text.split(",")]


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return the exit status."""
    parser = ArgumentParser(
        prog="python -m cluster.scale.differences",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--keys", type=positive, default=1_000_000)
    parser.add_argument("--differences", type=numbers, default=[1, 100, 10_000])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--directory", type=Path, help="where the stores go for now")
    chosen = parser.parse_args(arguments)
    if max(chosen.differences) > chosen.keys:
        parser.error("no more keys can differ than there are")
    try:
        with TemporaryDirectory(prefix="kvnode-scale-", dir=chosen.directory) as path:
            figures = asyncio.run(
                measure(
                    Path(path),
                    key_count=chosen.keys,
                    differences=chosen.differences,
                    tell=lambda line: _write(sys.stderr, line),
                )
            )
    except WrongAnswerError as error:
        _write(sys.stderr, f"wrong: {error}")
        return 1
    if chosen.json:
        figure_values = [asdict(figure) for figure in figures]
        found = {"keys": chosen.keys, "figures": figure_values}
        _write(sys.stdout, json.dumps(found, indent=2))
    else:
        _write(sys.stdout, "\n".join((HEADINGS, *map(as_line, figures))))
    return 0


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
