"""
Measure this project's store beside Redis, etcd and the raw ceilings.

    make bench
    python -m tests.benchmarks --only gets,puts --seconds 1
    python -m tests.benchmarks --rounds 3 --systems kvnode,aetcd
    python -m tests.benchmarks --only scale --keys 1000000
    python -m tests.benchmarks --json results.json
    python -m tests.benchmarks --only propagation --load-seconds 60
    python -m tests.benchmarks --only catch-up --down-seconds 600
    python -m tests.benchmarks --only bootstrap --keys 1000000
    python -m tests.benchmarks --only costs
    python -m tests.benchmarks --only objects --failovers 20

The last five are about several nodes under one steady load.  They
take minutes and want the machine for themselves, so they run when named only.

All servers are started here, on the loopback interface and in a temporary
directory (set TMPDIR to choose the disk), one subject at a time, and ended again.
Clients run in this process, one after the other.  A program that is not installed
takes its rows away and nothing else.  The exit status is 1 if a store failed or
gave a wrong answer; missing an aim is a result, not a failure.
"""

import asyncio
import cProfile
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from rich.console import Console

from tests.benchmarks.ceilings.grpc_road import measure_grpc
from tests.benchmarks.ceilings.lmdb_groups import measure_lmdb
from tests.benchmarks.costs.section import measure_costs
from tests.benchmarks.dataset import KEY_COUNT, Dataset, draw
from tests.benchmarks.fact import Fact, ratios
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.measurement import Measurement, Missing, Section
from tests.benchmarks.objects.calls import (
    compared_with_etcd,
    compared_with_leases,
    measure_calls,
    measure_confirmed_reads,
    measure_etcd_puts,
)
from tests.benchmarks.objects.failover import measure_failover
from tests.benchmarks.objects.in_turns import measure_in_turns
from tests.benchmarks.objects.one_node import (
    compared_with_others,
    measure_miniflare,
    measure_one_node,
    measure_workerd,
)
from tests.benchmarks.objects.resting import measure_resting
from tests.benchmarks.replication.bootstrap import measure_bootstrap
from tests.benchmarks.replication.catch_up import measure_catch_up
from tests.benchmarks.replication.propagation import COMPARED, measure_propagation
from tests.benchmarks.report import Results, print_machine, print_results
from tests.benchmarks.scale import measure_scale
from tests.benchmarks.systems.etcd_cluster import etcd_subjects
from tests.benchmarks.systems.kvnode_cluster import kvnode_subjects
from tests.benchmarks.systems.local_nodes import Load
from tests.benchmarks.systems.process import NotInstalledError
from tests.benchmarks.systems.redis_server import redis_subjects
from tests.benchmarks.systems.replicated import Replicated, replicated_stores
from tests.benchmarks.systems.subject import Family, Subject
from tests.benchmarks.workload import measure_store

LOG_COLUMNS = 160  # the widest table's need; a terminal's own width goes first
INTERRUPTED_STATUS = 130  # what shells report for Ctrl-C
TRACEBACK_FRAMES = 4  # first and last; the message says the rest
STORE_SECTIONS = (Section.GETS, Section.PUTS, Section.BULK)
REPLICATION_SECTIONS = (
    Section.PROPAGATION,
    Section.CATCH_UP,
    Section.BOOTSTRAP,
    Section.COSTS,
    Section.OBJECTS,
)
SCALE_KEYS = 1_000_000
BOOTSTRAP_KEYS = 100_000


class Ceiling(Protocol):
    """Measures something in a directory of its own."""

    async def __call__(
        self, directory: Path, dataset: Dataset, *, seconds: float
    ) -> list[Measurement]:
        """Return its rows, each measured for *seconds*."""


CEILINGS: Mapping[str, Ceiling] = {"LMDB": measure_lmdb, "grpc.aio": measure_grpc}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    only: frozenset[Section]
    systems: frozenset[Family]
    seconds: float
    rounds: int
    keys: int | None
    rate: int
    load_seconds: float
    down_seconds: float
    failovers: int
    distances: bool
    apart: bool
    json: Path | None
    profile: Path | None

    @property
    def load(self) -> Load:
        """What replication is measured under."""
        return Load(self.rate, self.load_seconds, self.distances, self.apart)


class Bench:
    """One run: measures what *options* ask for and gathers the results."""

    def __init__(self, options: Options, console: Console, directory: Path) -> None:
        subjects = [*kvnode_subjects(), *redis_subjects(), *etcd_subjects()]
        self._options = options
        self._console = console
        self._directory = directory
        self._subjects = [one for one in subjects if one.family in options.systems]
        self.results = Results(
            describe_machine(directory),
            options.seconds,
            options.rounds,
            {subject.name: subject for subject in self._subjects},
        )

    async def run(self) -> None:
        """Measure one thing after the other; what fails gets a row that says so."""
        only = self._options.only
        for _ in range(self._options.rounds):
            await self._round(only)
        if Section.SCALE in only:
            await self._attempt([Section.SCALE], "kvnode", self._measure_scale)
        await self._replication(only)

    async def _replication(self, only: frozenset[Section]) -> None:
        load, options = self._options.load, self._options
        if Section.PROPAGATION in only:
            for replicated in replicated_stores(load):
                if replicated.family not in options.systems:
                    continue
                measure = partial(self._measure_propagation, replicated)
                await self._attempt([Section.PROPAGATION], replicated.name, measure)
        measures: dict[Section, Callable[[Path], Awaitable[list[Fact]]]] = {
            Section.CATCH_UP: partial(
                measure_catch_up, load=load, down_seconds=options.down_seconds
            ),
            Section.BOOTSTRAP: partial(
                measure_bootstrap, load=load, key_count=options.keys or BOOTSTRAP_KEYS
            ),
        }
        for section, measure_facts in measures.items():
            if section in only:
                measure = partial(self._measure_facts, measure_facts)
                await self._attempt([section], f"kvnode, {section}", measure)
        if Section.OBJECTS in only:
            await self._objects()
        if Section.COSTS in only:
            await self._attempt([Section.COSTS], "kvnode, costs", self._measure_costs)

    async def _objects(self) -> None:
        seconds, rounds = self._options.seconds, self._options.failovers
        for name, measure_rows in (
            ("kvnode, objects", measure_calls),
            ("kvnode, objects without leases", measure_confirmed_reads),
            ("etcd, puts", measure_etcd_puts),
            ("kvnode, objects of one node", measure_one_node),
            ("workerd, objects", measure_workerd),
            ("miniflare, objects", measure_miniflare),
        ):
            measure = partial(
                self._measure_rows, partial(measure_rows, seconds=seconds)
            )
            await self._attempt([Section.OBJECTS], name, measure)
        self.results.facts += compared_with_leases(self.results.rows)
        self.results.facts += compared_with_etcd(self.results.rows)
        self.results.facts += compared_with_others(self.results.rows)
        for name, measure_facts in (
            ("kvnode and etcd, in turns", partial(measure_in_turns, seconds=seconds)),
            ("kvnode, failover", partial(measure_failover, rounds=rounds)),
            ("kvnode, resting objects", partial(measure_resting, seconds=5 * seconds)),
        ):
            measure = partial(self._measure_facts, measure_facts)
            await self._attempt([Section.OBJECTS], name, measure)

    async def _measure_rows(
        self,
        measure: Callable[[Path], Awaitable[list[Measurement]]],
        directory: Path,
    ) -> None:
        self.results.every_row += await measure(directory)

    async def _round(self, only: frozenset[Section]) -> None:
        sections = [section for section in STORE_SECTIONS if section in only]
        if sections:
            for subject in self._subjects:
                await self._attempt(
                    sections, subject.name, partial(self._measure_subject, subject)
                )
        if Section.CEILINGS in only:
            for name, measure in CEILINGS.items():
                await self._attempt(
                    [Section.CEILINGS], name, partial(self._measure_ceiling, measure)
                )

    async def _attempt(
        self,
        sections: Collection[Section],
        name: str,
        measure: Callable[[Path], Awaitable[None]],
    ) -> None:
        self._console.print(f"{name} ...", style="dim")
        with TemporaryDirectory(dir=self._directory) as directory:
            try:
                await measure(Path(directory))
            except NotInstalledError as error:
                reason, failed = str(error), False
            except Exception as error:  # noqa: BLE001 - see the comment below
                # Whatever a store or its client breaks with, the others' figures
                # are worth having; the row says why, and the exit status is 1.
                self._console.print_exception(max_frames=TRACEBACK_FRAMES)
                reason, failed = f"failed: {type(error).__name__}, see above", True
            else:
                return
        for section in sections:
            missing = Missing(section, name, reason, failed=failed)
            if missing not in self.results.missing:
                self.results.missing.append(missing)

    async def _measure_subject(self, subject: Subject, directory: Path) -> None:
        async with subject.open(directory) as store:
            self.results.every_row += await measure_store(
                subject, store, self._options.only, seconds=self._options.seconds
            )

    async def _measure_ceiling(self, measure: Ceiling, directory: Path) -> None:
        dataset = draw("bench", KEY_COUNT)
        self.results.every_row += await measure(
            directory, dataset, seconds=self._options.seconds
        )

    async def _measure_scale(self, directory: Path) -> None:
        key_count = self._options.keys or SCALE_KEYS
        self.results.scale += await measure_scale(directory, key_count=key_count)

    async def _measure_propagation(
        self, replicated: Replicated, directory: Path
    ) -> None:
        load = self._options.load
        async with replicated.open(directory) as store:
            found = await measure_propagation(replicated.name, store, load)
        self.results.facts += found
        if replicated.family is not Family.KVNODE:
            own = replicated_stores(load)[0].name
            ours = [fact for fact in self.results.facts if fact.subject == own]
            self.results.facts += ratios(ours, found, of=COMPARED)

    async def _measure_facts(
        self, measure: Callable[[Path], Awaitable[list[Fact]]], directory: Path
    ) -> None:
        self.results.facts += await measure(directory)

    async def _measure_costs(self, directory: Path) -> None:
        facts, self.results.costs = await measure_costs(
            directory, load=self._options.load
        )
        self.results.facts += facts


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; say what is wrong with it and exit if need be."""
    parser = ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    _add_names(parser, "--only", Section, "sections to measure")
    _add_names(parser, "--systems", Family, "stores to measure")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="a row; 2 unless told otherwise"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=1,
        help="how often to measure everything but scale; rows are medians; 1",
    )
    parser.add_argument(
        "--keys",
        type=int,
        help=f"of the sections scale, {SCALE_KEYS:,} unless told otherwise, and"
        f" bootstrap, {BOOTSTRAP_KEYS:,}",
    )
    _add_load(parser)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument(
        "--profile",
        type=Path,
        help="profile this process, the clients', into this file, to be read with"
        " `python -m pstats`; it slows them down, so the figures are not to be used",
    )
    found = parser.parse_args(arguments)
    if found.seconds <= 0 or found.rounds < 1 or (found.keys or 1) < 1:
        parser.error("--seconds must be above 0, --rounds and --keys at least 1")
    if min(found.load_seconds, found.down_seconds) <= 0 or found.rate < 1:
        parser.error(
            "--load-seconds and --down-seconds must be above 0, --rate at least 1"
        )
    if found.failovers < 1:
        parser.error("--failovers must be at least 1")
    return Options(**vars(found))


def _add_load(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "replication", f"of the sections {', '.join(REPLICATION_SECTIONS)}"
    )
    group.add_argument(
        "--rate", type=int, default=5000, help="writes a second at one node; 5,000"
    )
    group.add_argument(
        "--load-seconds", type=float, default=20.0, help="of steady load; 20"
    )
    group.add_argument(
        "--down-seconds", type=float, default=60.0, help="of catch-up's outage; 60"
    )
    group.add_argument(
        "--failovers",
        type=int,
        default=5,
        help="of objects: how many of each kind; 5",
    )
    group.add_argument(
        "--distances",
        action="store_true",
        help="put the nodes into three cities a third of the Earth apart, rather"
        " than at no distance",
    )
    group.add_argument(
        "--apart",
        action="store_true",
        help="of catch-up: give the node that was down a processor of its own",
    )


def _add_names(
    parser: ArgumentParser, flag: str, names: type[Section | Family], what: str
) -> None:
    def chosen(text: str) -> frozenset[Section | Family]:
        parts = {part.strip() for part in text.split(",")}
        if unknown := sorted(parts - set(names)):
            msg = f"{unknown[0]!r} is not among {everything}"
            raise ArgumentTypeError(msg)
        return frozenset(map(names, parts))

    everything = ",".join(names)
    usual = [name for name in names if name not in REPLICATION_SECTIONS]
    parser.add_argument(
        flag,
        type=chosen,
        default=frozenset(usual),
        metavar="NAMES",
        help=f"{what}, comma separated, of {everything}; {','.join(usual)} unless told"
        " otherwise",
    )


async def _run_until_told(bench: Bench) -> None:
    """Run; SIGTERM ends it as Ctrl-C does, so that no server stays behind."""
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await bench.run()


def _run(bench: Bench, profile_file: Path | None) -> None:
    if profile_file is None:
        asyncio.run(_run_until_told(bench))
        return
    with cProfile.Profile() as profile:
        asyncio.run(_run_until_told(bench))
    profile.dump_stats(profile_file)


def main() -> int:
    """Run the benchmark; return the exit status."""
    options = parse_options(sys.argv[1:])
    console = Console()
    if not console.is_terminal:
        console.width = LOG_COLUMNS
    with TemporaryDirectory(prefix="kvnode-bench-") as directory:
        bench = Bench(options, console, Path(directory))
        print_machine(console, bench.results.machine)
        try:
            _run(bench, options.profile)
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("interrupted; all servers are stopped")
            return INTERRUPTED_STATUS
    print_results(console, bench.results)
    if options.json is not None:
        bench.results.write_json(options.json)
    return 1 if any(row.failed for row in bench.results.missing) else 0


if __name__ == "__main__":
    sys.exit(main())
