"""
Histories of Jepsen, Knossos and Elle in EDN.

    {:process 0, :type :invoke, :f :read, :value nil, :time 12, :index 0}
    {:process 0, :type :ok, :f :read, :value 3, :time 15, :index 1}

One map an event: one after the other, or all in one vector or list.  The lines
that porcupine writes for key-value stores have a `:key` besides.  Elle leaves out
`:f`, some leave out `:process`; then there is one process.

What Knossos takes for granted and others do not: a register holds 0 in the
beginning, and a read that came back with nil says nothing of what it saw, so it
is left out here.  In a transaction of Elle's, nil is what was seen.

References:
    Kingsbury, 2013-.  Knossos: `knossos.model`, `knossos.history`.
    Kingsbury & Alvaro, 2020.  Elle: inferring isolation anomalies from
        experimental observations.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from jepsen_like.history.history import Header, History
from jepsen_like.history.operation import Operation, Outcome, Value
from jepsen_like.readers.events.fault_spans import FaultSpans
from jepsen_like.readers.events.forms import Form, Forms
from jepsen_like.readers.events.independent import with_keys
from jepsen_like.readers.events.meaning import (
    TRANSACTION,
    MeaningError,
    key_of,
    micro_operations,
    model_of,
    text_of,
    understood,
)
from jepsen_like.readers.events.pairing import Event, Pairing, PairingError
from jepsen_like.readers.source import Source

_INITIAL: Final[dict[str, Value]] = {
    "register": 0,
    "cas-register": 0,
    "multi-register": 0,
    "key-value": "",
}
_NIL_SAYS_NOTHING: Final = (
    "register",
    "cas-register",
    "multi-register",
    "counter",
    "set",
    "set-linearizable",
)
_OUTCOMES: Final = {
    "invoke": None,
    "ok": Outcome.OK,
    "fail": Outcome.FAIL,
    "info": Outcome.INFO,
}
_NEMESIS: Final = "nemesis"


def read(source: Source, model: str = "") -> History:
    """
    Return the history in *source*, of *model* or of the one its operations tell.

    Raises:
        MalformedHistoryError: It is not EDN, not a history, or not of *model*.
    """
    pairing, faults = Pairing(), FaultSpans()
    forms = Forms(source)
    for form in forms:
        try:
            event = _event(form)
            if event.process == _NEMESIS:
                faults.add(event.f, pairing.tick(event.time), text_of(event.value))
            else:
                pairing.add(event)
        except (MeaningError, PairingError) as error:
            raise forms.malformed(str(error)) from None
    timed = pairing.timed
    ended = pairing.tick(None)
    told = with_keys(pairing.operations())
    try:
        model = model or model_of(told) or "cas-register"
        operations = list(_meant(told, model))
    except MeaningError as error:
        raise source.malformed(str(error)) from None
    header = Header(model=model, timed=timed, initial=_INITIAL.get(model))
    return History.of(operations, faults.spans(ended), header)


def _event(form: Form) -> Event:
    if not isinstance(form, dict):
        msg = f"expected a map such as {{:type :invoke ...}}, not {text_of(form)[:60]}"
        raise MeaningError(msg)
    kind = form.get("type")
    if not isinstance(kind, str) or kind not in _OUTCOMES:
        msg = f"`:type` is one of :invoke :ok :fail :info, not {text_of(kind)}"
        raise MeaningError(msg)
    f, time, error = form.get("f"), form.get("time"), form.get("error")
    value, process = form.get("value"), form.get("process")
    if f is None and process != _NEMESIS:
        if value is not None and micro_operations(value) is None:
            msg = "`:f` says what was asked: it is missing"
            raise MeaningError(msg)
        f = TRANSACTION
    return Event(
        _OUTCOMES[kind],
        process,
        f if isinstance(f, str) else text_of(f),
        value,
        time if type(time) is int else None,
        key_of(form["key"]) if "key" in form else None,
        text_of(form["node"]) if form.get("node") is not None else "",
        "" if error is None else text_of(error),
    )


def _meant(operations: Iterable[Operation], model: str) -> Iterator[Operation]:
    """Yield what *operations* mean in *model*, without those that say nothing."""
    for told in operations:
        operation = understood(told, model)
        if operation.outcome is Outcome.OK and model in _NIL_SAYS_NOTHING:
            if operation.f == "read" and operation.result is None:
                continue
            if operation.f == TRANSACTION:
                operation = _without_nil_reads(operation)
                if not operation.result:
                    continue
        yield operation


def _without_nil_reads(operation: Operation) -> Operation:
    """Return the transaction *operation* without the reads that say nothing."""
    if not isinstance(operation.result, tuple):
        return operation
    kept = tuple(
        micro
        for micro in operation.result
        if isinstance(micro, tuple) and (micro[0] != "r" or micro[2] is not None)
    )
    if len(kept) == len(operation.result):
        return operation
    asked = tuple((f, key, None if f == "r" else value) for f, key, value in kept)
    return operation._replace(argument=asked, result=kept)
