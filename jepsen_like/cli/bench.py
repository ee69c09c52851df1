"""
`jepsen_like bench`: how fast the checkers are, on histories made from fixed seeds.

    0    every verdict is as expected
    1    one is not; how long it took says nothing then
    2    the request is wrong
    70   an error of this program

That an aim was missed shows in the table, not in the exit code: what a machine that
others use gives today is no fault of the program.
"""

import gc
import resource
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from jepsen_like.cli.exit_codes import ExitCode, failing_apart, foreseen
from kvnode.cli.output import complain, console, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from jepsen_like.benchmarks.section import Section

_MODULES: Final = ("linearizable", "isolation", "elle")
"""Of `jepsen_like.benchmarks`; one that is not installed is left out."""

_KIB_PER_MIB: Final = 1024
_WRONG: Final = 1


class Measured(NamedTuple):
    """
    What was measured.

    Attributes:
        section: Of what.
        operations: How many its history has.
        seconds: How long judging took, on the clock.
        cpu_seconds: How much of that was ours.
        verdict: What was found.
        peak_mib: The most memory that the process had so far.
    """

    section: "Section"
    operations: int
    seconds: float
    cpu_seconds: float
    verdict: str
    peak_mib: int

    @property
    def right(self) -> bool:
        """Whether the verdict is as expected."""
        return self.verdict == self.section.expected.value


def register(app: typer.Typer) -> None:
    """Add the command to *app*."""
    app.command(
        "bench",
        epilog="Exit codes: 0 all verdicts are right; 1 one is not; 2 wrong request;"
        " 70 an error of this program.",
    )(failing_apart(bench))


def bench(
    only: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Measure only what has TEXT in its name.",
            show_default=False,
        ),
    ] = "",
    histories: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also measure public histories: DIR has a manifest.json.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print a line of JSON each.")
    ] = False,
) -> None:
    """Measure how fast the checkers are, and whether they are right."""
    with foreseen():
        sections = [
            section
            for section in _sections(histories)
            if only.lower() in section.name.lower()
        ]
    if not sections:
        complain(f"no section has {only!r} in its name")
        raise typer.Exit(ExitCode.USAGE)
    measured: list[Measured] = []
    for section in sections:
        with console(stderr=True).status(section.name):
            measured.append(measure(section))
        if as_json:
            print_json(_document(measured[-1]))
    if not as_json:
        console().print(_table(measured))
    if not all(each.right for each in measured):
        raise typer.Exit(_WRONG)


def _sections(histories: Path | None) -> "Iterator[Section]":
    """Yield all sections there are."""
    for name in _MODULES:
        module = f"jepsen_like.benchmarks.{name}"
        if find_spec(module) is not None:
            yield from import_module(module).sections()
    if histories is not None:
        from jepsen_like.benchmarks import public

        yield from public.sections(histories)


def measure(section: "Section") -> Measured:
    """Make the history of *section*, and judge it once."""
    history = section.make()
    gc.collect()
    began, cpu_began = time.perf_counter(), time.process_time()
    judgement = section.judge(history)
    seconds = time.perf_counter() - began
    cpu_seconds = time.process_time() - cpu_began
    return Measured(
        section,
        len(history.operations),
        seconds,
        cpu_seconds,
        judgement.verdict.value,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _KIB_PER_MIB,
    )


def _document(measured: Measured) -> dict[str, str | int | float | bool]:
    return {
        "name": measured.section.name,
        "operations": measured.operations,
        "seconds": round(measured.seconds, 4),
        "cpu_seconds": round(measured.cpu_seconds, 4),
        "aim_seconds": measured.section.aim_s,
        "verdict": measured.verdict,
        "expected": measured.section.expected.value,
        "right": measured.right,
        "peak_mib": measured.peak_mib,
    }


def _table(measured: Sequence[Measured]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("what", ratio=1)
    for title in ("operations", "s", "cpu s", "aim s", "peak MiB"):
        table.add_column(title, justify="right")
    table.add_column("verdict")
    for each in measured:
        aim_s = each.section.aim_s
        colour = "green" if each.seconds < aim_s else "yellow"
        verdict = f"[green]{each.verdict}[/]"
        if not each.right:
            verdict = f"[red]{each.verdict}, not {each.section.expected.value}[/]"
        table.add_row(
            each.section.name,
            f"{each.operations:,}",
            f"[{colour}]{each.seconds:.2f}[/]",
            f"{each.cpu_seconds:.2f}",
            f"< {aim_s:g}",
            f"{each.peak_mib:,}",
            verdict,
        )
    return table
