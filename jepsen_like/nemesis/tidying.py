"""
Keeping faults sensible when steps are taken out of a plan.

A fault and what ends it stay together: an ending goes when nothing is left for
it to end, and never before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from jepsen_like.nemesis.conditions import Condition, after, ended_by, is_ending
from jepsen_like.nemesis.faults import (
    Fault,
    Flood,
    Garble,
    Join,
    RemoveFormer,
    RestoreBackup,
    Resume,
    Start,
    TakeBackup,
    Wipe,
)
from jepsen_like.plan import Step, Strike


def tidied(steps: Iterable[Step]) -> tuple[Step, ...]:
    """
    Return *steps*, in order of time, without faults that make no sense there.

    An ending of what has not begun is left out, or names only those for whom it
    has; so is the restoring of a backup that was never taken, a second node of one
    name, the end of an identity that nobody gave up, and what is said to a node that is
    down or frozen and hears nothing: it cannot be asked for a backup either.
    """
    wrong: list[Condition] = []
    backups: list[str] = []
    joined: list[str] = []
    reborn: list[str] = []
    kept: list[Step] = []
    for step in steps:
        if not isinstance(step, Strike):
            kept.append(step)
            continue
        fault = _needed(step.fault, wrong)
        if fault is None:
            continue
        if isinstance(fault, RestoreBackup) and fault.node not in backups:
            continue
        if isinstance(fault, Join) and fault.node in joined:
            continue
        if isinstance(fault, RemoveFormer) and fault.node not in reborn:
            continue
        match fault:
            case TakeBackup(node):
                backups.append(node)
            case Join(node):
                joined.append(node)
            case RestoreBackup(node) | Wipe(node):
                reborn.append(node)
            case _:
                pass
        wrong = after(wrong, fault)
        kept.append(Strike(step.at, fault))
    return tuple(kept)


def _needed(fault: Fault, wrong: Sequence[Condition]) -> Fault | None:
    """Return as much of *fault* as there is to do, or None."""
    if isinstance(fault, Flood | Garble | TakeBackup):
        deaf = (Condition("down", fault.node), Condition("paused", fault.node))
        return None if any(each in wrong for each in deaf) else fault
    if not is_ending(fault):
        return fault
    ended = [each for each in ended_by(fault) if each in wrong]
    if not ended:
        return None
    if isinstance(fault, Start | Resume):
        return replace(fault, nodes=tuple(each.node for each in ended))
    return fault
