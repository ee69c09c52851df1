"""
Convergence: once all is quiet, every node gives the same answer.

After all faults have ended the runner asks every node the same questions, again
and again until the answers agree or the time for it is up, and records the last
round.  Conflict logs are a node's own and need not agree.

References:
    Terry, Theimer, Petersen, Demers, Spreitzer & Hauser, 1995.  Managing update
        conflicts in Bayou: eventual consistency.
    Shapiro, Preguica, Baquero & Zawirski, 2011.  Conflict-free replicated data
        types: strong eventual consistency.
"""

from jepsen_like.checkers.access import FINAL, is_final
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "convergence"

_LOCAL = frozenset({f"{FINAL}conflicts", f"{FINAL}watch"})
"""What a node answers from what it has gone through itself."""

_Question = tuple[str, Key, Value]


def check(history: History) -> Judgement:
    """
    Judge whether all nodes gave the same final answers.

    Nodes that were not asked, or could not answer, leave the verdict UNKNOWN
    unless the others contradict each other already.  Costs O(n).
    """
    questions: dict[_Question, list[Operation]] = {}
    for operation in history.operations:
        if is_final(operation) and operation.f not in _LOCAL:
            question = (operation.f, operation.key, operation.argument)
            questions.setdefault(question, []).append(operation)
    figures = {"questions": len(questions)}
    if not questions:
        reason = "no final questions were asked, so nothing shows whether nodes agree"
        return Judgement(NAME, Verdict.UNKNOWN, reason, figures=figures)
    witnesses = [
        witness for asked in questions.values() if (witness := _difference(asked))
    ]
    if witnesses:
        reason = f"nodes disagree on {len(witnesses)} of {len(questions)} questions"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    silent = [
        f"{node} on {question[0]} of {question[1]!r}"
        for question, asked in questions.items()
        for node in _silent(history, asked)
    ]
    if silent:
        reason = f"no final answer from {silent[0]}, and {len(silent) - 1} more such"
        return Judgement(NAME, Verdict.UNKNOWN, reason, figures=figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


def final_values(history: History, f: str) -> dict[Key, list[Operation]]:
    """Return the answers to the final question *f* by key, one for each node."""
    answers: dict[Key, list[Operation]] = {}
    for operation in history.operations:
        if operation.f == FINAL + f and operation.outcome is Outcome.OK:
            answers.setdefault(operation.key, []).append(operation)
    return answers


def _difference(asked: list[Operation]) -> Witness | None:
    answers = [each for each in asked if each.outcome is Outcome.OK]
    for other in answers[1:]:
        first = answers[0]
        if first.result != other.result:
            how = f"{first.result!r} at {first.node}, {other.result!r} at {other.node}"
        elif first.version and other.version and first.version != other.version:
            how = (
                f"version {first.version} at {first.node} and {other.version} at"
                f" {other.node} of one value"
            )
        else:
            continue
        return Witness(
            "not converged",
            f"After all faults had ended, {first.f} of {first.key!r} gave {how}.",
            (first, other),
            first.key,
        )
    return None


def _silent(history: History, asked: list[Operation]) -> list[str]:
    answered = {each.node for each in asked if each.outcome is Outcome.OK}
    expected = dict.fromkeys((*history.header.nodes, *(each.node for each in asked)))
    return [node for node in expected if node not in answered]
