"""
Histories that others have published, with verdicts that are known.

They are not part of this repository.  KVNODE_HISTORIES says where they are; by
default beside it, in `../shared/histories`.  `manifest.json` there lists them.
"""

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from jepsen_like.checkers.budget import Budget
from jepsen_like.judging import TRANSACTION_LEVELS, TRANSACTIONS, judge, overall
from jepsen_like.readers import Initial, read
from jepsen_like.verdict import Judgement, Verdict
from tests.jepsen_like.session_cases import SessionCase, read_cases

_ROOT: Final = Path(__file__).parents[2]
_BESIDE: Final = _ROOT.parent / "shared" / "histories"
HISTORIES: Final = Path(os.environ.get("KVNODE_HISTORIES") or _BESIDE)
MANIFEST: Final = HISTORIES / "manifest.json"

_CASES: Final = "json"
"""The format of a file of many small cases."""

_LIMIT_S: Final = 60.0

pytestmark = pytest.mark.skipif(
    not MANIFEST.is_file(),
    reason="no public histories: KVNODE_HISTORIES may say where manifest.json is",
)

_Entry = dict[str, Any]


def _entries() -> list[_Entry]:
    if not MANIFEST.is_file():
        return []
    entries: list[_Entry] = json.loads(MANIFEST.read_text("utf-8"))
    return entries


def _cases() -> list[SessionCase]:
    return [
        case
        for entry in _entries()
        if entry["format"] == _CASES
        for case in read_cases(HISTORIES / entry["path"])
    ]


def _initial(entry: _Entry) -> Initial | None:
    """What the manifest says; null there is what the format takes for granted."""
    if entry["init"] is None:
        return None
    return Initial(None if entry["init"] == "nil" else entry["init"])


@pytest.mark.parametrize(
    "entry",
    [entry for entry in _entries() if entry["format"] != _CASES],
    ids=lambda entry: entry["path"],
)
def test_public_history_is_judged_as_expected(entry: _Entry) -> None:
    """Format and model are found without being told."""
    _, history = read(str(HISTORIES / entry["path"]), initial=_initial(entry))
    model = history.header.model

    judgements = judge(history, model, budget=Budget(_LIMIT_S))

    if model == TRANSACTIONS:
        found = {
            short: overall(judgements, model, short) for short in TRANSACTION_LEVELS
        }
        assert found == {
            short: _verdict(holds=holds) for short, holds in entry["expected"].items()
        }
    else:
        assert overall(judgements, model) is _verdict(holds=entry["expected"]), (
            judgements
        )


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.name)
def test_small_case_breaks_what_it_is_said_to_break(case: SessionCase) -> None:
    """And keeps what it is said to keep, where we have a checker for it."""
    found = _levels(case)

    for level, judgement in found.items():
        if level in case.violates:
            assert judgement.verdict is Verdict.INVALID, judgement
        elif level in case.satisfies:
            assert judgement.verdict is Verdict.VALID, judgement
    assert found.keys() & (case.violates | case.satisfies)


def _levels(case: SessionCase) -> dict[str, Judgement]:
    """Return what we find of a case, by the names that the cases use."""
    (*_, convergent, weak) = judge(case.history, TRANSACTIONS, level="weak-causal")
    levels = {
        "causal": convergent,
        "causal-convergence": convergent,
        "Bouajjani weak CC": weak,
    }
    if any(operation.f == "txn" for operation in case.history.operations):
        (isolated,) = judge(case.history, "rw-register", level="snapshot-isolation")
        return {**levels, "snapshot-isolation": isolated}
    sessions = judge(case.history, "sessions")
    return {**levels, **{each.checker: each for each in sessions}}


def _verdict(*, holds: bool) -> Verdict:
    return Verdict.VALID if holds else Verdict.INVALID
