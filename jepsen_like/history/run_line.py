"""
What was found of a run itself, as a line of our own format says it.

    {"run":{"verdict":"unknown","reason":"...","figures":{"operations":200,...}}}

Figures stand in the order in which they are shown.  `reason`, `figures` and
`witnesses` are left out if there are none, as in a witness `operations` and `key`.
"""

from typing import Final

from jepsen_like.history.fields import (
    Json,
    WrongError,
    key_of,
    only_known,
    text_of,
)
from jepsen_like.history.operation import Value
from jepsen_like.history.operation_line import operation_json, operation_of
from jepsen_like.verdict import Judgement, Verdict, Witness

CHECKER: Final = "run"
"""The name of the check whose judgement is kept with a history, and of its field."""

_FIELDS: Final = frozenset(("verdict", "reason", "figures", "witnesses"))
_WITNESS_FIELDS: Final = frozenset(("kind", "explanation", "operations", "key"))
_VERDICTS: Final = {verdict.value: verdict for verdict in Verdict}

_Document = dict[str, "Value | _Document | list[_Document]"]


def run_json(judgement: Judgement) -> _Document:
    """Return *judgement* as its line says it, without its checker's name."""
    document: _Document = {"verdict": judgement.verdict.value}
    if judgement.reason:
        document["reason"] = judgement.reason
    if judgement.figures:
        document["figures"] = dict(judgement.figures)
    if judgement.witnesses:
        document["witnesses"] = [_witness_json(each) for each in judgement.witnesses]
    return {CHECKER: document}


def run_of(line: Json) -> Judgement:
    """
    Return the judgement that a line says.

    Raises:
        WrongError: A field is missing, unknown, or not what it should be.
    """
    only_known(line, frozenset((CHECKER,)))
    document = _object(line[CHECKER], CHECKER)
    only_known(document, _FIELDS)
    verdict = _VERDICTS.get(text_of(document, "verdict"))
    if verdict is None:
        told = document.get("verdict")
        msg = f"`verdict` is {', '.join(_VERDICTS)}, not {told!r}"
        raise WrongError(msg)
    reason = text_of(document, "reason")
    witnesses = tuple(map(_witness, _list(document, "witnesses")))
    if verdict is not Verdict.VALID and not reason:
        msg = f"a run that is {verdict.value} says why in `reason`"
        raise WrongError(msg)
    if (verdict is Verdict.INVALID) != bool(witnesses):
        msg = "a run that is invalid has `witnesses`, and no other has"
        raise WrongError(msg)
    return Judgement(CHECKER, verdict, reason, witnesses, _figures(document))


def _witness_json(witness: Witness) -> _Document:
    document: _Document = {"kind": witness.kind, "explanation": witness.explanation}
    if witness.operations:
        document["operations"] = [
            {**operation_json(each)} for each in witness.operations
        ]
    if witness.key is not None:
        document["key"] = witness.key
    return document


def _witness(value: object) -> Witness:
    document = _object(value, "witnesses")
    only_known(document, _WITNESS_FIELDS)
    return Witness(
        kind=text_of(document, "kind"),
        explanation=text_of(document, "explanation"),
        operations=tuple(
            operation_of(_object(each, "operations"))
            for each in _list(document, "operations")
        ),
        key=key_of(document.get("key")),
    )


def _figures(document: Json) -> dict[str, int | float | str]:
    figures: dict[str, int | float | str] = {}
    for name, figure in _object(document.get("figures", {}), "figures").items():
        if not isinstance(figure, int | float | str):
            msg = f"a figure is a number or text, not {figure!r}"
            raise WrongError(msg)
        figures[name] = figure
    return figures


def _object(value: object, field: str) -> Json:
    if not isinstance(value, dict):
        msg = f"`{field}` takes an object, not {value!r}"
        raise WrongError(msg)
    return value


def _list(document: Json, field: str) -> list[object]:
    found = document.get(field, [])
    if not isinstance(found, list):
        msg = f"`{field}` is a list, not {found!r}"
        raise WrongError(msg)
    return found
