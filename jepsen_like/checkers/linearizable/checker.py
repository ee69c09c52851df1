"""
The dispatcher: which way each part of a history is judged.

A part is what nothing else in the history depends on; with most models, a key.  A
register whose observed values are unique is judged by zones.  Everything else is
searched.  All searches take turns, each turn longer than the one before: so one part
whose search explodes cannot hide that another is wrong, and costs no more than the
others together times a small factor.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from jepsen_like.checkers.budget import Budget
from jepsen_like.checkers.linearizable.bound_part import BoundPart, bind
from jepsen_like.checkers.linearizable.contradiction import Contradiction
from jepsen_like.checkers.linearizable.search import Dead, Overflow
from jepsen_like.checkers.linearizable.widening import Widening
from jepsen_like.checkers.linearizable.witness import witness_of
from jepsen_like.checkers.linearizable.zones import NotDecided, judge_by_zones
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome
from jepsen_like.models import model_named
from jepsen_like.models.model import Part, exact
from jepsen_like.verdict import Judgement, Verdict, Witness

CHECKER: Final = "linearizable"

_FIRST_TURN: Final = 2_000
"""Configurations visited in the first turn: enough for a key of a usual test."""

_TURN_GROWTH: Final = 4
"""How much longer each turn is than the one before."""

_SLICE: Final = 2_000
"""Configurations visited between two looks at the budget."""

_ZONE_MODELS: Final = frozenset({"register", "cas-register", "key-value"})


class _Check:
    """One check of a history, and what it has counted so far."""

    def __init__(self, history: History, model_name: str, budget: Budget) -> None:
        self._model = model_named(model_name)
        self._initial = history.header.initial
        self._budget = budget
        self._operations = [
            operation
            for operation in history.operations
            if operation.outcome is not Outcome.FAIL
        ]
        self._keys = 0
        self._zones = 0
        self._searches = 0
        self._visited = 0

    def judge(self) -> Judgement:
        """Return the verdict of all parts."""
        parts = self._model.parts(self._operations)
        self._keys = len({part.key for part in parts})
        with _collector_paused():
            hard, judgement = self._by_zones(parts)
        return self._by_search(hard) if judgement is None else judgement

    def _by_zones(
        self, parts: Sequence[Part]
    ) -> tuple[list[BoundPart], Judgement | None]:
        """Return what zones cannot judge, and the judgement if it is final."""
        hard: list[BoundPart] = []
        for part in parts:
            found = self._zones_say(part)
            if isinstance(found, NotDecided):
                hard.append(bind(self._model, part, self._initial))
                continue
            self._zones += 1
            if found is not None:
                operations = [part.operations[at] for at in found.positions]
                return hard, self._invalid(part.key, operations, found.explanation)
            if not self._budget.spend(len(part.operations)):
                return hard, self._unknown([self._budget.reason])
        return hard, None

    def _zones_say(self, part: Part) -> Contradiction | NotDecided | None:
        if self._model.name not in _ZONE_MODELS:
            return NotDecided("the model is no register")
        initial = exact(self._initial)
        return judge_by_zones(part.operations, self._model.action, initial)

    def _by_search(self, parts: Sequence[BoundPart]) -> Judgement:
        """Let the searches of *parts* take turns."""
        self._searches = len(parts)
        running = [Widening(part) for part in parts]
        reasons: list[str] = []
        allowance = _FIRST_TURN
        while running:
            unfinished: list[Widening] = []
            for search in running:
                if not self._turn(search, allowance):
                    unfinished.append(search)
                    if self._budget.spent:
                        return self._unknown([*reasons, self._budget.reason])
                elif isinstance(search.outcome, Dead):
                    found = witness_of(search.part, search.outcome)
                    operations = [search.part.operations[at] for at in found.positions]
                    key = search.part.key
                    return self._invalid(key, operations, found.explanation)
                elif isinstance(search.outcome, Overflow):
                    reasons.append(_overflow_reason(search.part, search.outcome))
            running = unfinished
            allowance *= _TURN_GROWTH
        return self._unknown(reasons) if reasons else self._valid()

    def _turn(self, search: Widening, allowance: int) -> bool:
        """Let *search* visit some configurations; return whether it has finished."""
        end = search.visited + allowance
        finished = False
        while not finished and search.visited < end:
            before = search.visited
            finished = search.run(_SLICE)
            self._visited += search.visited - before
            if not self._budget.spend(search.visited - before):
                break
        return finished

    def _figures(self) -> dict[str, int | float | str]:
        methods = {"zones": self._zones, "search": self._searches}
        used = [f"{name} ({count})" for name, count in methods.items() if count]
        return {
            "operations": len(self._operations),
            "keys": self._keys,
            "parts": self._zones + self._searches,
            "states visited": self._visited,
            "method": " and ".join(used) or "nothing to do",
        }

    def _valid(self) -> Judgement:
        return Judgement(CHECKER, Verdict.VALID, figures=self._figures())

    def _invalid(
        self, key: Key, operations: Sequence[Operation], explanation: str
    ) -> Judgement:
        witness = Witness("not linearizable", explanation, tuple(operations), key)
        about = "" if key is None else f" on key {key!r}"
        count = len(operations)
        reason = f"{count} operations{about} fit into no order"
        if count == 1:
            reason = f"an operation{about} cannot be explained"
        figures = self._figures()
        return Judgement(CHECKER, Verdict.INVALID, reason, (witness,), figures)

    def _unknown(self, reasons: Iterable[str]) -> Judgement:
        reason = "; ".join(reasons)
        return Judgement(CHECKER, Verdict.UNKNOWN, reason, figures=self._figures())


@contextmanager
def _collector_paused() -> Iterator[None]:
    """
    Let the garbage collector rest.

    It would go through the operations of a large history again and again, and find
    nothing: what zones make refers to nothing that refers back.  That is half of the
    time for a million operations.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _overflow_reason(part: BoundPart, overflow: Overflow) -> str:
    about = "" if part.key is None else f"key {part.key!r}: "
    return (
        f"{about}more than {overflow.width:,} configurations were possible at one "
        "moment; judge fewer clients at once, or write values that are unique"
    )


def check(
    history: History, model_name: str, *, budget: Budget | None = None
) -> Judgement:
    """
    Judge whether *history* is linearizable.

    Every operation must seem to take effect at one moment between its call and its
    return, on one object as the model says.  Operations that failed are left out;
    those that were never answered may have taken effect, at any time since.  Two
    operations that meet in one instant are concurrent.

    Args:
        history: `header.initial` is what each key holds in the beginning.
        model_name: A name of `jepsen_like.models`.
        budget: What may be spent; a default one if None.

    Returns:
        UNKNOWN if the budget did not suffice.

    Raises:
        ModelError: There is no such model, or an operation is none of it.

    Source:
        Herlihy & Wing (1990); see `zones` and `search` for how.
    """
    return _Check(history, model_name, budget or Budget()).judge()
