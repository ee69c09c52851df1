r"""
Lines of Jepsen's log, as it wrote them of etcd in 2014.

    INFO  jepsen.util - 3	:invoke	:cas	[1 2]
    INFO  jepsen.util - 3	:fail	:cas	[1 2]

All other lines are passed over, so a whole log may be given.  The register holds
nothing in the beginning, and a read of nothing (`nil`) is an observation.  What
means what here, and not elsewhere:

    :fail :cas [1 2]        happened, and told that the value was not 1
    :fail :cas [1 2] :why   never happened (later versions say why)
    :fail :read :timed-out  never happened
    :info ... :timed-out    may happen at any time

References:
    Kingsbury, 2014.  Jepsen: etcd and Consul.
    Horn & Kroening, 2015.  Faster linearizability checking via
        P-compositionality (these logs); Athalye, 2017.  porcupine (the same).
"""

import re
from typing import Final

from jepsen_like.history.history import Header, History
from jepsen_like.history.malformed import MalformedHistoryError
from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.readers.events.fault_spans import FaultSpans
from jepsen_like.readers.events.forms import value_of, values_of
from jepsen_like.readers.events.independent import with_keys
from jepsen_like.readers.events.meaning import (
    MeaningError,
    text_of,
    understood,
)
from jepsen_like.readers.events.pairing import Event, Pairing
from jepsen_like.readers.source import Source

MODEL: Final = "cas-register"

_LINE: Final = re.compile(
    r"INFO\s+(?:\[[^\]]*\]\s*)?jepsen\.(?:util|core)\s*[-:]\s*"
    r"(:?[\w-]+)\s+:(invoke|ok|fail|info)\s+:([\w/-]+)(?:\s+(.*))?$"
)
_OUTCOMES: Final = {
    "invoke": None,
    "ok": Outcome.OK,
    "fail": Outcome.FAIL,
    "info": Outcome.INFO,
}
_NEMESIS: Final = ":nemesis"
_TIMEOUT: Final = "timed-out"


def is_line(line: str) -> bool:
    """Tell whether *line* tells an operation."""
    return _LINE.search(line) is not None


def read(source: Source, model: str = "") -> History:
    """
    Return the history that the lines of *source* tell.

    Raises:
        MalformedHistoryError: A line tells what *model*, by default a register
            with compare and set, does not have.
    """
    pairing, faults = Pairing(), FaultSpans()
    for line in source.lines():
        match = _LINE.search(line)
        if match is None:
            continue
        process, kind, f, told = match.groups()
        try:
            value, *more = values_of(told or "nil")
            if process == _NEMESIS:
                faults.add(f, pairing.tick(None), text_of(value))
            else:
                outcome = _OUTCOMES[kind]
                pairing.add(_event(outcome, value_of(process), f, value, tuple(more)))
        except ValueError as error:
            raise source.malformed(str(error)) from None
    operations: list[Operation] = []
    for told_operation in with_keys(pairing.operations()):
        try:
            meant = understood(told_operation, model or MODEL)
        except MeaningError as error:
            raise MalformedHistoryError(source.name, None, str(error)) from None
        operations.append(_observed(told_operation, meant))
    header = Header(model=model or MODEL, timed=False)
    return History.of(operations, faults.spans(pairing.tick(None)), header)


def _event(
    outcome: Outcome | None,
    process: Value,
    f: str,
    value: Value,
    more: tuple[Value, ...],
) -> Event:
    """Return what a line tells; *more* follows the value in later versions."""
    if value == _TIMEOUT or (isinstance(value, tuple) and _TIMEOUT in value):
        return Event(outcome, process, f, None, error=text_of(value))
    return Event(outcome, process, f, value, error=" ".join(map(text_of, more)))


def _observed(told: Operation, meant: Operation) -> Operation:
    """Return *meant*, but what says that a comparison was false as answered."""
    refused = told.f == "cas" and told.outcome is Outcome.FAIL
    if refused and told.result == told.argument and not told.error:
        return meant._replace(outcome=Outcome.OK, result=False)
    return meant
