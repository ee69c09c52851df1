"""
From the name of a model to its judges.

A model's name stands for what the operations of a history mean and what is
promised of them.  Some have levels: promises of different strength, by name.

    linearizable          register, cas-register, restorable-register, mutex,
                          multi-register, key-value, set-linearizable, queue (the last
                          two by their near-linear checkers, and by search what these
                          hand over)
    by their own bounds   set, counter, total-queue
    anomalies             list-append, rw-register (levels of Elle's hierarchy),
                          long-fork
    transactions          read committed, read atomic and causal convergence, all
                          three; the last decides unless a level is given
    sessions              read your writes, monotonic reads, monotonic writes,
                          writes follow reads

Histories of our own workloads have questions that every node was asked at the end
(`final-read`): ordinary operations to linearizability, nothing to sessions.

A judge is imported when its model is asked for: the program starts sooner, and no
judge costs those who do not need it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Final, NamedTuple, TypeAlias, cast

from jepsen_like.checkers.access import FINAL
from jepsen_like.checkers.budget import Budget
from jepsen_like.checkers.finals import with_finals, without_finals
from jepsen_like.history.history import History
from jepsen_like.history.operation import Outcome
from jepsen_like.verdict import Judgement, Verdict, combined

TRANSACTIONS: Final = "transactions"

TRANSACTION_LEVELS: Final = {
    "rc": "read-committed",
    "ra": "read-atomic",
    "cc": "causal",
}
"""By the short names in the literature, the weakest first."""

_STRONGEST: Final = "causal"
_COUNTER_READS: Final = ("read", "value")
_NAMES_SHOWN_MAX: Final = 8
"""Names of operations that a complaint lists."""

_CHECKERS: Final = "jepsen_like.checkers"
_LINEARIZABLE: Final = {
    "register": "register",
    "cas-register": "cas-register",
    "restorable-register": "restorable-register",
    "mutex": "mutex",
    "multi-register": "multi-register",
    "key-value": "key-value",
    "set-linearizable": "set",
    "queue": "queue",
}
"""Names of models here, and of the models that linearizability is judged by."""

_NEAR_LINEAR: Final = {
    "set-linearizable": "linearizable_set",
    "queue": "linearizable_queue",
}
"""Modules of checkers that are asked before the search."""

_OTHER_NAMES: Final = {
    "set-linearizable": {"insert": "add", "members": "read"},
}
"""By model: operations under names that the search's model does not know."""

Judgements: TypeAlias = tuple[Judgement, ...]


class UnknownModelError(ValueError):
    """No model or no level has that name; the message lists those there are."""


class _Judge(NamedTuple):
    """
    How a model is judged.

    Attributes:
        judge: Takes the history, the model, a level or "", and the budget.
        has_levels: Whether it can be asked for one.
        knows: Names of its operations, if its judge passes over others: a history
            that has none of them would be valid whatever is in it.
    """

    judge: Callable[[History, str, str, Budget], Judgements]
    has_levels: bool = False
    knows: tuple[str, ...] = ()


def judge(
    history: History, model: str, *, level: str = "", budget: Budget | None = None
) -> Judgements:
    """
    Return what each checker of *model* says of *history*.

    Args:
        history: Its own header's model does not matter here.
        model: One of `MODELS`.
        level: What was promised, for models that have levels; "" for what they
            take for granted.
        budget: What may be spent; by default two minutes.

    Raises:
        UnknownModelError: There is no such model, or no such level of it.
        ValueError: The history has operations that the model does not know.
    """
    found = _judge_of(model)
    if level and not found.has_levels:
        msg = f"model {model!r} has no levels, so not {level!r} either"
        raise UnknownModelError(msg)
    if found.knows:
        _require_any(history, model, found.knows)
    return found.judge(history, model, level, budget or Budget())


def overall(judgements: Sequence[Judgement], model: str, level: str = "") -> Verdict:
    """Return the verdict on a history that *judgements* of *model* amount to."""
    if model != TRANSACTIONS:
        return combined(judgements)
    decisive = TRANSACTION_LEVELS.get(level, level) or _STRONGEST
    return combined(each for each in judgements if each.checker == decisive)


def _judge_of(model: str) -> _Judge:
    try:
        return _JUDGES[model]
    except KeyError:
        msg = f"no model {model!r}: there are {', '.join(MODELS)}"
        raise UnknownModelError(msg) from None


def _found(module: str, function: str) -> Callable[..., object]:
    """Return *function* of a checker's *module*."""
    found = getattr(import_module(f"{_CHECKERS}.{module}"), function)
    return cast("Callable[..., object]", found)


def _linearizable(
    history: History, model: str, level: str, budget: Budget
) -> Judgements:
    del level
    history = with_finals(history)
    if model in _NEAR_LINEAR:
        found = cast("Judgement | None", _found(_NEAR_LINEAR[model], "check")(history))
        if found is not None:
            return (found,)
    check = _found("linearizable", "check")
    known = _renamed(history, _OTHER_NAMES.get(model, {}))
    return (cast("Judgement", check(known, _LINEARIZABLE[model], budget=budget)),)


def _renamed(history: History, names: Mapping[str, str]) -> History:
    """Return *history* with operations called as *names* says."""
    if not any(operation.f in names for operation in history.operations):
        return history
    return replace(
        history,
        operations=tuple(
            each._replace(f=names.get(each.f, each.f)) for each in history.operations
        ),
    )


def _require_any(history: History, model: str, known: Sequence[str]) -> None:
    met = dict.fromkeys(each.f.removeprefix(FINAL) for each in history.operations)
    if met and not any(f in known for f in met):
        shown = ", ".join(list(met)[:_NAMES_SHOWN_MAX])
        msg = (
            f"the history has no operation of the model {model}, which knows"
            f" {', '.join(known)}: it has {shown}"
        )
        raise ValueError(msg)


def _simple(module: str, *knows: str) -> _Judge:
    """Return the judge that is a function of the history alone."""

    def judge_simply(
        history: History, model: str, level: str, budget: Budget
    ) -> Judgements:
        del model, level, budget
        return (cast("Judgement", _found(module, "check")(history)),)

    return _Judge(judge_simply, knows=knows)


def _anomalies(function: str) -> _Judge:
    """Return the judge that is a function of a history and a level."""

    def judge_level(
        history: History, model: str, level: str, budget: Budget
    ) -> Judgements:
        check = _found("elle", function)
        asked = {"level": level} if level else {}
        found = cast("Judgement", check(history, budget=budget.seconds, **asked))
        return (_of_transactions(found, history, model),)

    return _Judge(judge_level, has_levels=True)


def _long_fork(history: History, model: str, level: str, budget: Budget) -> Judgements:
    del level, budget
    found = cast("Judgement", _found("elle", "check_long_fork")(history))
    return (_of_transactions(found, history, model),)


def _of_transactions(found: Judgement, history: History, model: str) -> Judgement:
    """Return *found*, unless it is of none of the operations that there are."""
    if history.operations and not found.figures["transactions"]:
        _require_any(history, model, ("txn",))
    return found


def _transactions(
    history: History, model: str, level: str, budget: Budget
) -> Judgements:
    del model
    history = without_finals(history)
    check = _found("isolation", "check")
    levels = list(TRANSACTION_LEVELS.values())
    asked = TRANSACTION_LEVELS.get(level, level)
    if asked and asked not in levels:
        levels.append(asked)
    return tuple(
        cast("Judgement", check(history, each, budget=budget.seconds))
        for each in levels
    )


def _counter(history: History, model: str, level: str, budget: Budget) -> Judgements:
    # A run of ours that never reads has tested nothing, and its judge says so.  What
    # others recorded is judged by what is there: without reads, nothing is wrong.
    answered = (each for each in history.operations if each.outcome is Outcome.OK)
    if not any(operation.f in _COUNTER_READS for operation in answered):
        return (Judgement("counter", Verdict.VALID, figures={"reads": 0}),)
    del model, level, budget
    return (cast("Judgement", _found("counter", "check")(history)),)


def _sessions(history: History, model: str, level: str, budget: Budget) -> Judgements:
    del model, level, budget
    return cast("Judgements", _found("sessions", "check")(without_finals(history)))


_JUDGES: Final[dict[str, _Judge]] = {
    **dict.fromkeys(_LINEARIZABLE, _Judge(_linearizable)),
    "set": _simple("set_full", "insert", "add", "remove", "members", "read"),
    "counter": _Judge(_counter, knows=("add", *_COUNTER_READS)),
    "total-queue": _simple("total_queue", "enqueue", "dequeue", "drain"),
    "list-append": _anomalies("check_list_append"),
    "rw-register": _anomalies("check_rw_register"),
    "long-fork": _Judge(_long_fork),
    TRANSACTIONS: _Judge(_transactions, has_levels=True),
    "sessions": _Judge(_sessions),
}

MODELS: Final = tuple(_JUDGES)
"""All names of models, those of one family beside each other."""

LEVELED: Final = tuple(name for name, found in _JUDGES.items() if found.has_levels)
"""Names of models that can be judged at a level."""
