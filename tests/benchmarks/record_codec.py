"""
What writing and reading a record on disk takes, beside the format before.

    python -m tests.benchmarks.record_codec

Processor time of the fastest of some rounds, since other programs only ever add to
it.  The budget is 1.3 times the format before, so that nobody's rates fall for the
bytes: a busy node spends some 40 us on a write, and both together are a sixth of it.
"""

from collections.abc import Callable
from functools import partial
from time import process_time_ns
from timeit import repeat

from rich.console import Console
from rich.table import Table

from kvnode.core.clocks.hybrid_logical_clock import from_millis
from kvnode.core.versions import record
from kvnode.core.versions.record import NumberedDots
from kvnode.core.versions.version import NEVER, Entry, Kind, Version
from kvnode.storage import record_codec
from kvnode.types import Dot, Millis, ReplicaId

ROUNDS = 15
CALLS = 8000
NOW = Millis(1_700_000_000_000)
VALUE = b"v" * 100

OTHERS = tuple(Dot(ReplicaId(2**60 + n), 90_000_000 + n) for n in range(1, 8))
DEPENDENCIES = tuple(Dot(replica, seq + 100) for replica, seq in OTHERS[:2])


def entry(others: int, dependencies: int = 0, deadline: Millis = NEVER) -> Entry:
    """Return a register with so many other writers and dependencies."""
    version = Version(
        Kind.REGISTER,
        from_millis(NOW),
        Dot(ReplicaId(2**60), 123_456_789),
        OTHERS[:others],
        DEPENDENCIES[:dependencies],
        deadline,
    )
    return Entry(version, VALUE)


CASES = {
    "one writer": entry(0),
    "one writer, expiring": entry(0, deadline=Millis(NOW + 60_000)),
    "two writers": entry(1),
    "three writers": entry(2),
    "three writers, two dependencies": entry(2, 2),
    "eight writers": entry(7),
}


def nanoseconds(call: Callable[[], object]) -> int:
    """Return what a call takes at best."""
    return round(
        min(repeat(call, timer=process_time_ns, number=CALLS, repeat=ROUNDS)) / CALLS
    )


def main() -> None:
    """Print a row for each case: bytes beside the value, and ns; before and now."""
    dots = NumberedDots()
    table = Table("register of", "bytes", "encode", "decode")
    for name, sample in CASES.items():
        before, now = record.encode(sample, dots), record_codec.encode(sample, dots)
        assert record.decode(before, dots) == record_codec.decode(now, dots) == sample
        encoders = (
            partial(record.encode, sample, dots),
            partial(record_codec.encode, sample, dots),
        )
        decoders = (
            partial(record.decode, before, dots),
            partial(record_codec.decode, now, dots),
        )
        table.add_row(
            name,
            " -> ".join(str(len(row) - len(VALUE)) for row in (before, now)),
            " -> ".join(str(nanoseconds(call)) for call in encoders),
            " -> ".join(str(nanoseconds(call)) for call in decoders),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
