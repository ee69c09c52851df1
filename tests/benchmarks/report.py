"""The tables that a person reads, and the JSON that a program reads."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cluster.scale import Costs
from cluster.scale import report as scale_report
from tests.benchmarks.aims import (
    ETCD,
    REDIS,
    REDIS_DURABLE,
    Rival,
    Subjects,
    Verdict,
    judge,
    rival_rate,
)
from tests.benchmarks.fact import Fact
from tests.benchmarks.measurement import Measurement, Missing, Section, median_rows
from tests.benchmarks.processor_time import ProcessorTime
from tests.benchmarks.scale import ScaleFact

COMPARED_WITH = (ETCD, REDIS_DURABLE, REDIS)
TITLES = {
    Section.GETS: "gets: 10,000 keys, values of 100 bytes, every answer compared",
    Section.PUTS: "puts: overwrites of 10,000 keys, read back afterwards",
    Section.BULK: "bulk load: 50,000 pairs; quantiles are of a batch",
    Section.OBJECTS: "objects: durable at two of three nodes before each answer",
    Section.CEILINGS: "ceilings: what disk and RPC layer do on their own;"
    " quantiles are of a transaction or message",
}

FACT_TITLES = {
    Section.PROPAGATION: "propagation: one node is written to, two others watch",
    Section.CATCH_UP: "catch-up: a node is down for a while under load",
    Section.BOOTSTRAP: "bootstrap: an empty node takes everything from another",
    Section.OBJECTS: "objects: beside etcd, workerd and miniflare; failover; rest",
    Section.COSTS: "costs: what a write, a peer and an idle second take",
}


@dataclass(slots=True)
class Results:
    """Everything that one run has found out."""

    machine: Mapping[str, str]
    seconds: float
    rounds: int
    subjects: Subjects
    every_row: list[Measurement] = field(default_factory=list)  # of all rounds
    missing: list[Missing] = field(default_factory=list)
    scale: list[ScaleFact] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    costs: Costs | None = None

    @property
    def rows(self) -> list[Measurement]:
        """The median of the rounds for each thing measured."""
        return median_rows(self.every_row)

    def verdicts(self) -> list[Verdict]:
        """Return how ours stand to the aims."""
        return judge(self.rows, self.subjects)

    def write_json(self, path: Path) -> None:
        """Write all results to *path*."""
        content = {
            "machine": dict(self.machine),
            "seconds": self.seconds,
            "rounds": self.rounds,
            "rows": [asdict(row) for row in self.rows],
            "every_row": [asdict(row) for row in self.every_row],
            "missing": [asdict(row) for row in self.missing],
            "aims": [asdict(verdict) for verdict in self.verdicts()],
            "scale": [asdict(fact) for fact in self.scale],
            "facts": [asdict(fact) for fact in self.facts],
            "costs": None if self.costs is None else asdict(self.costs),
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def print_machine(console: Console, machine: Mapping[str, str]) -> None:
    """Print what the figures were measured on."""
    table = Table(show_header=False, box=None)
    for what, value in machine.items():
        table.add_row(what, value)
    console.print(table)


def print_results(console: Console, results: Results) -> None:
    """Print a table a section, then the aims."""
    for section, title in TITLES.items():
        rows = [row for row in results.rows if row.section is section]
        missing = [row for row in results.missing if row.section is section]
        if rows or missing:
            table = _table(title, rows, missing, results)
            console.print(table)
    if results.scale:
        console.print(_scale_table(results.scale))
    for section, title in FACT_TITLES.items():
        facts = [fact for fact in results.facts if fact.section is section]
        missing = [row for row in results.missing if row.section is section]
        if facts or missing:
            console.print(_fact_table(title, facts, missing))
    if results.costs is not None:
        console.print("arithmetic, not measured: clusters of many sizes", style="bold")
        console.print(scale_report(results.costs), highlight=False, soft_wrap=True)
    for verdict in results.verdicts():
        mark = "[green]met[/]" if verdict.is_met else "[red]missed[/]"
        console.print(f"{mark}  {verdict.aim}: {verdict.ratio:.1f}x, {verdict.subject}")


def _table(
    title: str,
    rows: Sequence[Measurement],
    missing: Sequence[Missing],
    results: Results,
) -> Table:
    is_compared = any(row.subject in results.subjects for row in rows)
    rivals = COMPARED_WITH if is_compared else ()
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("what", "operation"):
        table.add_column(heading, no_wrap=True)
    for heading in ("in\nflight", "per\nsecond", "p50\nus", "p99\nus"):
        table.add_column(heading, justify="right")
    for heading in ("client\nCPU us", "servers\nCPU us"):
        table.add_column(heading, justify="right")
    for rival in rivals:
        heading = rival.name.replace(", ", ",\n")
        table.add_column(f"against\n{heading}", justify="right")
    table.add_column("note")
    previous = ""
    for row in rows:
        is_new = row.subject != previous
        if is_new and previous:
            table.add_section()
        previous = row.subject
        table.add_row(
            row.subject if is_new else "",
            row.operation,
            str(row.in_flight),
            f"{row.per_second:,}",
            f"{row.p50_micros:,}",
            f"{row.p99_micros:,}",
            *_processor_cells(row.processor),
            *(_ratio(rival, row, results) for rival in rivals),
            row.note,
        )
    for absent in missing:
        empty = [""] * (7 + len(rivals))
        table.add_row(absent.subject, *empty, absent.reason)
    return table


def _processor_cells(used: ProcessorTime | None) -> tuple[str, str]:
    if used is None:
        return "", ""
    return f"{used.client / 1000:.1f}", f"{used.servers / 1000:.1f}"


def _ratio(rival: Rival, row: Measurement, results: Results) -> str:
    rate = rival_rate(rival, row, results.rows, results.subjects)
    return "" if not rate else f"{row.per_second / rate:.1f}x"


def _scale_table(facts: Sequence[ScaleFact]) -> Table:
    table = Table(title="scale", title_justify="left", title_style="bold")
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for fact in facts:
        table.add_row(fact.what, f"{fact.value:,}", fact.unit)
    return table


def _fact_table(title: str, facts: Sequence[Fact], missing: Sequence[Missing]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("where", "what"):
        table.add_column(heading)
    table.add_column("value", justify="right")
    table.add_column("unit")
    previous = ""
    for fact in facts:
        is_new = fact.subject != previous
        if is_new and previous:
            table.add_section()
        previous = fact.subject
        subject = fact.subject if is_new else ""
        table.add_row(subject, fact.what, f"{fact.value:,.6g}", fact.unit)
    for absent in missing:
        table.add_row(absent.subject, absent.reason, "", "")
    return table
