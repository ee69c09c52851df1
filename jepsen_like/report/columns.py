"""
A history as columns: what the page's script needs to draw the timeline.

One list a column and small integers for what repeats: a hundred thousand
operations are a few megabytes, and the browser looks only at the rows of the key
that it shows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from jepsen_like.history.history import History
from jepsen_like.history.operation import FOREVER, Key, Operation, Value

TEXT_LENGTH_MAX = 80
"""Characters of a value that are shown; the history itself has the rest."""

NANOSECONDS_PER_MS = 1_000_000


def shown(value: Value) -> str:
    """Return *value* as people read it, cut to a readable length."""
    text = _text(value)
    if len(text) <= TEXT_LENGTH_MAX:
        return text
    return f"{text[: TEXT_LENGTH_MAX - 1]}…"


def _text(value: Value) -> str:
    if value is None:
        return "nil"
    if isinstance(value, tuple):
        return f"[{' '.join(map(_text, value))}]"
    return str(value)


def key_text(key: Key) -> str:
    """Return the name of a key; of the only one there is, if it has none."""
    return "(the only one)" if key is None else str(key)


@dataclass(slots=True)
class _Names:
    """Texts by number, in the order in which they were first seen."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """Return the number of *text*."""
        return self.numbers.setdefault(text, len(self.numbers))

    @property
    def texts(self) -> list[str]:
        """Return all texts, by number."""
        return list(self.numbers)


@dataclass(frozen=True, slots=True)
class Scale:
    """
    How times of a history become what the page shows.

    Attributes:
        begin: The time that is shown as 0.
        unit: In how many of the history's units one of the page's is.
        name: What the page's unit is called.
        end: The last time of the history, in its own unit.
    """

    begin: int
    unit: int
    name: str
    end: int

    @classmethod
    def of(cls, history: History) -> "Scale":
        """Return the scale of *history*: milliseconds, or positions in a log."""
        times = [operation.called for operation in history.operations]
        times += [o.returned for o in history.operations if o.returned != FOREVER]
        times += [span.began for span in history.faults]
        times += [span.ended for span in history.faults]
        timed = history.header.timed
        return cls(
            begin=min(times, default=0),
            unit=NANOSECONDS_PER_MS if timed else 1,
            name="ms" if timed else "position",
            end=max(times, default=0),
        )

    def place(self, time: int) -> float:
        """Return *time* as shown; what never ended is shown to the end."""
        return round((min(time, self.end) - self.begin) / self.unit, 3)


def columns(
    history: History, scale: Scale, marked: Iterable[Operation]
) -> dict[str, list[int] | list[float] | list[str]]:
    """
    Return the operations of *history* column by column.

    Args:
        history: What to show.
        scale: Of its times.
        marked: The witness's operations, to be seen at a glance.

    Returns:
        `keys`, `functions`, `nodes` and `outcomes` are texts by number; the
        other columns have one item an operation, in order of calls.
    """
    operations = history.operations
    names = {kind: _Names() for kind in ("keys", "functions", "nodes", "outcomes")}
    witness = set(marked)
    return {
        "key": [names["keys"].number(key_text(o.key)) for o in operations],
        "f": [names["functions"].number(o.f) for o in operations],
        "node": [names["nodes"].number(o.node) for o in operations],
        "outcome": [names["outcomes"].number(o.outcome.value) for o in operations],
        "process": [o.process for o in operations],
        "called": [scale.place(o.called) for o in operations],
        "returned": [scale.place(o.returned) for o in operations],
        "argument": [shown(o.argument) for o in operations],
        "result": [shown(o.result) for o in operations],
        "error": [shown(o.error) if o.error else "" for o in operations],
        "marked": [int(o in witness) for o in operations],
        **{kind: named.texts for kind, named in names.items()},
    }
