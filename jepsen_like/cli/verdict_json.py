"""
Verdicts for programs: one object.

    verdict         valid, invalid or unknown
    file, format    of what was read; of a run there is its `title` instead
    model, operations, seconds
    levels          of transactions: the verdict at each level, by its short name
    reason          why, unless valid
    witness         if invalid: kind, explanation, key and operations
    judgements      of each checker: verdict, reason, figures, all its witnesses

Operations are as in our own format on disk.
"""

from typing import TYPE_CHECKING

from jepsen_like.history.operation_line import operation_json
from jepsen_like.judging import TRANSACTION_LEVELS, TRANSACTIONS
from jepsen_like.verdict import Judgement, Verdict, Witness
from kvnode.object_json import Json

if TYPE_CHECKING:
    from jepsen_like.cli.check import Checked


def document(checked: "Checked") -> dict[str, Json]:
    """Return what was found as JSON has it."""
    answer: dict[str, Json] = {
        "verdict": checked.verdict.value,
        **_origin(checked),
        "model": checked.model,
        "operations": len(checked.history.operations),
        "seconds": round(checked.seconds, 3),
    }
    by_name = {each.checker: each for each in checked.judgements}
    if checked.model == TRANSACTIONS:
        answer["levels"] = {
            short: by_name[name].verdict.value
            for short, name in TRANSACTION_LEVELS.items()
            if name in by_name
        }
    telling = telling_of(checked)
    if telling is not None:
        answer["reason"] = telling.reason
        if telling.witnesses:
            answer["witness"] = _witness_json(telling.witnesses[0])
    answer["judgements"] = [_judgement_json(each) for each in checked.judgements]
    return answer


def _origin(checked: "Checked") -> dict[str, Json]:
    if not checked.format:
        return {"title": checked.title}
    return {"file": checked.title, "format": checked.format}


def telling_of(checked: "Checked") -> Judgement | None:
    """Return the first judgement that says what the verdict says; None if valid."""
    if checked.verdict is Verdict.VALID:
        return None
    agreeing = [e for e in checked.judgements if e.verdict is checked.verdict]
    return agreeing[0] if agreeing else None


def _judgement_json(judgement: Judgement) -> dict[str, Json]:
    return {
        "checker": judgement.checker,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "figures": dict(judgement.figures),
        "witnesses": [_witness_json(each) for each in judgement.witnesses],
    }


def _witness_json(witness: Witness) -> dict[str, Json]:
    return {
        "kind": witness.kind,
        "explanation": witness.explanation,
        "key": witness.key,
        "operations": [operation_json(each) for each in witness.operations],
    }
