"""
Work out what measured costs come to in clusters of many sizes.

    python -m tests.benchmarks --only costs --json costs.json
    python -m cluster.scale costs.json
    python -m cluster.scale costs.json --set probe_micros=210 --set link_micros=9

Prints a table of Markdown, and what breaks first.  `--set` gives another value for a
cost, in the unit of its name.
"""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from cluster.scale.costs import Costs
from cluster.scale.table import report


def read_costs(file: Path) -> Costs:
    """
    Return the costs in the results of a benchmark.

    Raises:
        ValueError: The file has none; its benchmark did not measure them.
    """
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not content.get("costs"):
        msg = f"{file} has no costs: measure them with --only costs"
        raise ValueError(msg)
    try:
        return Costs(**content["costs"])
    except TypeError as error:
        msg = f"{file} has costs of another version ({error}): measure them again"
        raise ValueError(msg) from error


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    names = [field.name for field in fields(Costs)]
    if name not in names:
        msg = f"{name!r} is not among {', '.join(names)}"
        raise ArgumentTypeError(msg)
    try:
        return name, float(value)
    except ValueError as error:
        msg = f"{value!r} is no number"
        raise ArgumentTypeError(msg) from error


def main(arguments: Sequence[str]) -> int:
    """Print the tables; return the exit status."""
    parser = ArgumentParser(
        prog="python -m cluster.scale",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="JSON that the benchmark wrote")
    parser.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="COST=NUMBER",
        help="a cost of its own; may be given several times",
    )
    found = parser.parse_args(arguments)
    try:
        costs = replace(read_costs(found.file), **dict(found.set))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    sys.stdout.write(report(costs) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
