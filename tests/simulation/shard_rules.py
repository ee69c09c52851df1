"""
What must be true of a shard in every state that it can come to.

    agreement       what anybody holds for committed is what was told, entry by entry
    log matching    two logs with an entry of the same number and epoch are equal up to
                    there
    leaders         each epoch has one, in a configuration that the authority has held
    opening         a leader serves once an entry of its own is committed, and has all
                    that was told in earlier epochs and its own
    succession      of any majority that can be sealed next, the log that ends last has
                    all that was told

The last one says more than that nothing was lost: it is broken as soon as something
could be, whether or not anybody takes over before the bounds are reached.

References:
    Ongaro & Ousterhout, 2014.  In search of an understandable consensus algorithm,
        figure 3.
"""

from collections.abc import Sequence
from itertools import combinations

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.quorum_log import LogEntry, Position
from kvnode.types import ReplicaId
from tests.simulation.explored_replicas import Mind, ViolationError

Entries = tuple[LogEntry, ...]


def judge(
    minds: Sequence[Mind],
    disks: Sequence[Mind],
    told: Entries,
    held: Sequence[Configuration],
) -> None:
    """
    Look at one state of a shard.

    Args:
        minds: What its replicas are.
        disks: What they would be if they crashed, in the same order.
        told: All that anybody was told to be committed.
        held: What the authority has held, oldest first; not empty.

    Raises:
        ViolationError: A rule is broken.
    """
    for mind in minds:
        _agrees(mind, told)
        _is_entitled(mind, held)
        _may_serve(mind, told)
    for one, other in combinations({mind.entries for mind in (*minds, *disks)}, 2):
        _match(one, other)
    leaders = [mind.leadership.epoch for mind in minds if mind.leadership is not None]
    if len(set(leaders)) < len(leaders):
        msg = f"two lead the same epoch: {leaders}"
        raise ViolationError(msg)
    _is_safe({disk.own: disk.entries for disk in disks}, told, held[-1])


def _agrees(mind: Mind, told: Entries) -> None:
    if mind.entries[: mind.committed] != told[: mind.committed]:
        msg = f"{mind.own} holds {mind.entries[: mind.committed]} for committed: {told}"
        raise ViolationError(msg)


def _is_entitled(mind: Mind, held: Sequence[Configuration]) -> None:
    configuration = mind.configuration
    if configuration is None:
        return
    if configuration not in held or configuration.leader != mind.own:
        msg = f"{mind.own} acts in {configuration}, which was never held: {held}"
        raise ViolationError(msg)
    if mind.promised != configuration.epoch:
        msg = f"{mind.own} acts in {configuration}, and promised {mind.promised}"
        raise ViolationError(msg)


def _may_serve(mind: Mind, told: Entries) -> None:
    leading = mind.leadership
    if leading is None or not leading.is_open:
        return
    committed = mind.entries[: mind.committed]
    if not committed or committed[-1].epoch != leading.epoch:
        msg = f"{mind.own} is open, and has committed nothing in {leading.epoch}"
        raise ViolationError(msg)
    due = tuple(entry for entry in told if entry.epoch <= leading.epoch)
    if mind.entries[: len(due)] != due:
        msg = f"{mind.own} is open in {leading.epoch} without {due}: {mind.entries}"
        raise ViolationError(msg)


def _match(one: Entries, other: Entries) -> None:
    for number in range(min(len(one), len(other)), 0, -1):
        if one[number - 1].epoch == other[number - 1].epoch:
            if one[:number] != other[:number]:
                msg = f"logs do not match at entry {number}: {one}, {other}"
                raise ViolationError(msg)
            return


def _is_safe(
    logs: dict[ReplicaId, Entries], told: Entries, held: Configuration
) -> None:
    electorate = held.former or held.replicas
    for sealed in combinations(electorate, len(electorate) // 2 + 1):
        newest = max((logs[own] for own in sealed), key=_last)
        if newest[: len(told)] != told:
            msg = f"told were {told}; if {sealed} are sealed, {newest} remains"
            raise ViolationError(msg)


def _last(entries: Entries) -> Position:
    return Position(entries[-1].epoch if entries else 0, len(entries))
