"""Verdicts for people: what was found, by which checker, and the witness."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

from jepsen_like.checkers.access import FINAL
from jepsen_like.history.operation import FOREVER, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness
from kvnode.cli.output import console

if TYPE_CHECKING:
    from jepsen_like.cli.check import Checked

_COLOURS: Final = {
    Verdict.VALID: "green",
    Verdict.INVALID: "red",
    Verdict.UNKNOWN: "yellow",
}
_ROW_COUNT_MAX: Final = 40
"""Operations of a witness that are shown; `--json` has all."""

_WITNESS_COUNT_MAX: Final = 3
"""Witnesses of a checker that are shown; the plainest come first."""

_READS: Final = ("read", "get", "dequeue", "drain", "members", "value", "text")
"""What may come back with nothing, and says something by that."""

_TEXT_CHARS_MAX: Final = 120
_NS_PER_MS: Final = 1_000_000


def show(checked: "Checked") -> None:
    """Print what was found to standard output."""
    out = console()
    history = checked.history
    written = f" format {checked.format}," if checked.format else ""
    out.print(f"{escape(checked.title)}: {_coloured(checked.verdict)}", soft_wrap=True)
    out.print(
        f"  {len(history.operations):,} operations,{written}"
        f" model {checked.model}, {checked.seconds:.2f} s",
        markup=False,
        soft_wrap=True,
    )
    if not history.operations:
        out.print("  The history is empty: nothing could go wrong.")
    for judgement in checked.judgements:
        _show_judgement(judgement, timed=history.header.timed)


def _show_judgement(judgement: Judgement, *, timed: bool) -> None:
    out = console()
    figures = ", ".join(f"{name} {value}" for name, value in judgement.figures.items())
    line = f"  {_coloured(judgement.verdict)}  {escape(judgement.checker)}"
    out.print(f"{line}  [dim]{escape(figures)}[/]" if figures else line, soft_wrap=True)
    if judgement.reason:
        out.print(f"    {judgement.reason}", markup=False)
    for witness in judgement.witnesses[:_WITNESS_COUNT_MAX]:
        _show_witness(witness, timed=timed)
    more = len(judgement.witnesses) - _WITNESS_COUNT_MAX
    if more > 0:
        out.print(f"    and {more} more: --json has them all")


def _show_witness(witness: Witness, *, timed: bool) -> None:
    out = console()
    about = "" if witness.key is None else f", key {witness.key}"
    out.print(f"\n  [bold]{escape(witness.kind)}[/]{escape(about)}")
    out.print(witness.explanation, markup=False)
    if witness.operations:
        out.print(_table(witness.operations[:_ROW_COUNT_MAX], timed=timed))
    if len(witness.operations) > _ROW_COUNT_MAX:
        more = len(witness.operations) - _ROW_COUNT_MAX
        out.print(f"  and {more} more operations: --json has them all")


def _table(operations: Sequence[Operation], *, timed: bool) -> Table:
    """Return a row for each of *operations*, their times from the first call."""
    unit = " ms" if timed else ""
    began = min(operation.called for operation in operations) if timed else 0
    table = Table("process", "asked", "answered", f"called{unit}", f"returned{unit}")
    named = any(operation.node for operation in operations)
    if named:
        table.add_column("node")
    for operation in operations:
        row = [
            str(operation.process),
            asked_text(operation),
            answered_text(operation),
            _time_text(operation.called, began, timed=timed),
            _time_text(operation.returned, began, timed=timed),
        ]
        table.add_row(*map(escape, [*row, operation.node] if named else row))
    return table


def asked_text(operation: Operation) -> str:
    """Return what was asked, such as `cas x (1, 2)`."""
    told = operation.result if operation.f == "txn" else None
    told = operation.argument if told is None else told
    key = "" if operation.key is None else f" {operation.key}"
    value = "" if told is None else f" {value_text(told)}"
    return _cut(f"{operation.f}{key}{value}")


def answered_text(operation: Operation) -> str:
    """Return what came back, or how it ended if that is not `ok`."""
    if operation.outcome is Outcome.INFO:
        return _cut(f"may have happened {operation.error}".strip())
    if operation.outcome is Outcome.FAIL:
        return _cut(f"did not happen {operation.error}".strip())
    found_nothing = operation.result is None and _is_read(operation)
    if operation.f == "txn" or (operation.result is None and not found_nothing):
        return "ok"
    return _cut(value_text(operation.result))


def _is_read(operation: Operation) -> bool:
    return operation.f.removeprefix(FINAL) in _READS


def value_text(value: Value) -> str:
    """Return *value* on one line, for people."""
    if isinstance(value, tuple):
        return f"({', '.join(map(value_text, value))})"
    if isinstance(value, str):
        return value if value.isalnum() else repr(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else str(value)


def _time_text(time: int, began: int, *, timed: bool) -> str:
    if time == FOREVER:
        return "never"
    return f"{(time - began) / _NS_PER_MS:.3f}" if timed else str(time)


def _coloured(verdict: Verdict) -> str:
    return f"[bold {_COLOURS[verdict]}]{verdict.value}[/]"


def _cut(text: str) -> str:
    if len(text) <= _TEXT_CHARS_MAX:
        return text
    return f"{text[:_TEXT_CHARS_MAX]}..."
