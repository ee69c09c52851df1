"""
Conditions: what a fault leaves behind for as long as nothing ends it.

A `Kill` of n1 leaves n1 `down` until a `Start`, a `Wipe` or a restored backup ends
that; a cut leaves the `links` not as they were until a `Heal`.  From this follows
how long each fault lasted, which faults belong together when a plan is cut down,
and how to end all that is going on.  A fault that leaves nothing behind, such as
`FlipBits`, is over as soon as it is there.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from jepsen_like.nemesis.faults import (
    Cut,
    CutCoordinator,
    Disturb,
    Downgrade,
    Fault,
    FillDisk,
    FlipBits,
    Flood,
    FreeDisk,
    Garble,
    Heal,
    Join,
    Kill,
    Link,
    Pause,
    RemoveFormer,
    RemoveMember,
    RestoreBackup,
    Resume,
    SetClock,
    SlowDisk,
    Start,
    TakeBackup,
    Upgrade,
    Wipe,
)

_Item = TypeVar("_Item")


class Condition(NamedTuple):
    """
    Something that is wrong.

    Attributes:
        what: `links`, `down`, `paused`, `clock`, `full`, `slow` or `old`.
        node: With whom; empty for `links`, which are healed all at once.
    """

    what: str
    node: str = ""


LINKS = Condition("links")


_LEAVES: dict[type[Fault], str] = {
    Kill: "down",
    RemoveMember: "down",
    Pause: "paused",
    SetClock: "clock",
    FillDisk: "full",
    SlowDisk: "slow",
    Downgrade: "old",
}
_MENDS: dict[type[Fault], tuple[str, ...]] = {
    Start: ("down",),
    Resume: ("paused",),
    Kill: ("paused",),  # what is dead is no longer frozen
    RemoveMember: ("paused",),
    SetClock: ("clock",),
    FreeDisk: ("full",),
    SlowDisk: ("slow",),
    RestoreBackup: ("down", "paused"),
    Wipe: ("down", "paused"),
    Downgrade: ("down", "paused"),
    Upgrade: ("old", "down", "paused"),
}


def begun_by(fault: Fault) -> tuple[Condition, ...]:
    """Return what is wrong after *fault*, until something ends it."""
    match fault:
        case Cut() | CutCoordinator() | Disturb():
            return (LINKS,)
        case SetClock(offset_ms=0, drift_ppm=0) | SlowDisk(sync_ms=0):
            return ()
        case _ if what := _LEAVES.get(type(fault)):
            return tuple(Condition(what, node) for node in nodes_met(fault))
        case _:
            return ()


def ended_by(fault: Fault) -> tuple[Condition, ...]:
    """Return what *fault* makes right, or replaces, if it was wrong before."""
    if isinstance(fault, Heal):
        return (LINKS,)
    return tuple(
        Condition(what, node)
        for what in _MENDS.get(type(fault), ())
        for node in nodes_met(fault)
    )


def is_ending(fault: Fault) -> bool:
    """Tell whether *fault* does nothing but make right what was wrong."""
    match fault:
        case Heal() | Start() | Resume() | FreeDisk() | Upgrade():
            return True
        case SetClock() | SlowDisk():
            return not begun_by(fault)
        case _:
            return False


def endings(conditions: Iterable[Condition]) -> tuple[Fault, ...]:
    """Return what makes right all of *conditions*, links first, in their order."""
    given = _distinct(conditions)
    found: list[Fault] = [Heal()] if LINKS in given else []
    old = {each.node for each in given if each.what == "old"}  # are started anew
    resumed = tuple(
        each.node for each in given if each.what == "paused" and each.node not in old
    )
    started = tuple(
        each.node for each in given if each.what == "down" and each.node not in old
    )
    if resumed:
        found.append(Resume(resumed))
    if started:
        found.append(Start(started))
    for what, node in given:
        if what == "clock":
            found.append(SetClock(node))
        elif what == "full":
            found.append(FreeDisk(node))
        elif what == "slow":
            found.append(SlowDisk(node, 0))
        elif what == "old":
            found.append(Upgrade(node))
    return tuple(found)


def after(wrong: Iterable[Condition], fault: Fault) -> list[Condition]:
    """Return what is wrong after *fault* when *wrong* was so before."""
    ended, begun = ended_by(fault), begun_by(fault)
    return _distinct([*(each for each in wrong if each not in ended), *begun])


def nodes_met(fault: Fault) -> tuple[str, ...]:
    """Return whom *fault* meets, each once, in the order it names them."""
    match fault:
        case Cut() | Disturb():
            return tuple(_distinct(node for link in fault.links for node in link))
        case Kill() | Start() | Pause() | Resume():
            return fault.nodes
        case Heal() | CutCoordinator():
            return ()
        case _:
            return (fault.node,)


def kind(fault: Fault) -> str:
    """Return what people call *fault*."""
    match fault:
        case Disturb():
            return _disturbance(fault)
        case SetClock():
            return "clock drift" if fault.drift_ppm else "clock jump"
        case _:
            return _KINDS[type(fault)]


KILL = "kill"

_KINDS: dict[type[Fault], str] = {
    Cut: "partition",
    Heal: "heal",
    Kill: KILL,
    Start: "start",
    Pause: "pause",
    Resume: "resume",
    FillDisk: "disk full",
    FreeDisk: "disk freed",
    SlowDisk: "slow disk",
    FlipBits: "bit flip",
    TakeBackup: "backup",
    RestoreBackup: "restore",
    Wipe: "wipe",
    Join: "join",
    RemoveMember: "removal",
    RemoveFormer: "former identity gone",
    CutCoordinator: "coordinator cut off",
    Downgrade: "previous version",
    Upgrade: "upgrade",
    Flood: "flood",
    Garble: "garble",
}


def detail(fault: Fault) -> str:
    """Return what *fault* is besides its kind and nodes, for people."""
    match fault:
        case Cut():
            return f"cut {_link_text(fault.links)}"
        case Disturb():
            parts = [f"{text} {getattr(fault, name)}" for name, text in _DISTURBANCES]
            wrong = [
                part
                for part, (name, _) in zip(parts, _DISTURBANCES, strict=True)
                if getattr(fault, name)
            ]
            return f"{', '.join(wrong)} on {_link_text(fault.links)}"
        case SetClock():
            return f"{fault.offset_ms:+} ms, {fault.drift_ppm:+} ppm"
        case SlowDisk():
            return f"{fault.sync_ms} ms a sync"
        case Flood() | Garble():
            return f"{fault.messages} messages"
        case _:
            return f"through {fault.seed}" if isinstance(fault, Join) else ""


_DISTURBANCES = (
    ("delay_ms", "delay ms"),
    ("jitter_ms", "jitter ms"),
    ("loss", "loss"),
    ("duplication", "duplication"),
    ("reordering", "reordering"),
    ("bytes_per_second", "bytes/s"),
)


def _disturbance(fault: Disturb) -> str:
    names = {
        "delay": fault.delay_ms or fault.jitter_ms,
        "loss": fault.loss,
        "duplication": fault.duplication,
        "reordering": fault.reordering,
        "slow link": fault.bytes_per_second,
    }
    wrong = [name for name, value in names.items() if value]
    return wrong[0] if len(wrong) == 1 else "disturbance"


def _link_text(links: Sequence[Link]) -> str:
    """Return *links* as people draw them; both ways at once where both are."""
    texts = []
    for sender, receiver in links:
        if (receiver, sender) not in links:
            texts.append(f"{sender}>{receiver}")
        elif links.index((sender, receiver)) < links.index((receiver, sender)):
            texts.append(f"{sender}-{receiver}")
    return " ".join(texts)


def _distinct(items: Iterable[_Item]) -> list[_Item]:
    return list(dict.fromkeys(items))
