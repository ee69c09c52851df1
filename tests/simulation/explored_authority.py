"""
The authority of a shard as a value: what it has held, and what it was asked for.

A question is answered with one of the configurations held since it was asked, chosen
when the answer arrives: when it was read makes no difference.  A change is made at any
time, even for one that has crashed, and told at any later time, or never.
"""

from collections.abc import Iterator
from typing import NamedTuple

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import AskAuthority, Swap

NOBODY = -1
"""In place of a host that has crashed since it asked."""


class Errand(NamedTuple):
    """
    What the authority was asked for.

    Attributes:
        host: Who waits for the answer, by place; or NOBODY.
        swap: What is to be changed; None = it was only asked.
        since: How many configurations it had held by then.
        is_done: The change was made, and has not been told.
    """

    host: int
    swap: Swap | None
    since: int
    is_done: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether it may still change something."""
        return self.swap is not None and not self.is_done


class Authority(NamedTuple):
    """
    What the authority has held, and what is under way to and from it.

    Attributes:
        held: Oldest first; not empty, and none of them twice.
        errands: In order, so that equal ones are equal.
    """

    held: tuple[Configuration, ...]
    errands: tuple[Errand, ...] = ()

    def asked(self, host: int, asked: tuple[AskAuthority | Swap, ...]) -> "Authority":
        """Return what it is once *host* has asked for something."""
        since = len(self.held)
        new = (
            Errand(host, each if isinstance(each, Swap) else None, since)
            for each in asked
        )
        return self._with(*self.errands, *new)

    def answered(self, errand: Errand) -> Iterator[tuple["Authority", Configuration]]:
        """Yield what may be said of an errand, and what the authority is then."""
        if errand.host == NOBODY:
            return
        rest = self._with(*self._without(errand))
        since = self.held[errand.since - 1 :]
        if errand.swap is None:
            answers = since
        elif errand.is_done:
            answers = (errand.swap.desired,)
        else:
            answers = tuple(each for each in since if each != errand.swap.expected)
        for answer in answers:
            yield rest, answer

    def changed(self, errand: Errand) -> "Authority | None":
        """Return what it is once an errand is done, None if nothing changes."""
        swap = errand.swap
        if swap is None or errand.is_done or self.held[-1] != swap.expected:
            return None
        done = () if errand.host == NOBODY else (errand._replace(is_done=True),)
        held = (*self.held, swap.desired)
        return self._replace(held=held)._with(*self._without(errand), *done)

    def silent(self, errand: Errand) -> "Authority":
        """Return what it is once nobody waits for an errand any more."""
        orphan = (errand._replace(host=NOBODY),) if errand.is_open else ()
        return self._with(*self._without(errand), *orphan)

    def deserted(self, host: int) -> "Authority":
        """Return what it is once a host has crashed."""
        authority = self
        for errand in self.errands:
            if errand.host == host:
                authority = authority.silent(errand)
        return authority

    def worth_keeping(self, host: int, heard_from: int | None) -> "Authority":
        """
        Return the same without what no answer to *host* can bring about any more.

        Args:
            host: Who waits.
            heard_from: Answers of earlier epochs do nothing to it for ever; None = no
                answer does anything.
        """
        if all(errand.host != host for errand in self.errands):
            return self
        others = [errand for errand in self.errands if errand.host != host]
        for errand in self.errands:
            if errand.host == host:
                others.extend(self._worth_hearing(errand, heard_from))
        return self._with(*others)

    def _worth_hearing(
        self, errand: Errand, heard_from: int | None
    ) -> Iterator[Errand]:
        swap, since = errand.swap, errand.since
        if heard_from is None:
            if errand.is_open:
                yield errand._replace(host=NOBODY)
            return
        if errand.is_done:
            assert swap is not None, "only a change is made"
            if swap.desired.epoch >= heard_from:
                yield errand
            return
        if swap is not None:
            if swap.expected == self.held[-1]:
                yield errand
                return
            # It comes too late for ever, and is answered like a question.
            number = self.held.index(swap.expected) + 1
            assert number <= since, "what is expected was told before"
            since = max(since, number + 1)
        while since <= len(self.held) and self.held[since - 1].epoch < heard_from:
            since += 1
        yield Errand(errand.host, None, since)

    def is_within(self, other: "Authority") -> bool:
        """Tell whether *other* may answer and change all that this one may."""
        if self.held != other.held or len(self.errands) > len(other.errands):
            return False
        rest = sorted(other.errands, key=_since)
        for errand in sorted(self.errands, key=_since):
            like = (
                each
                for each in rest
                if each._replace(since=errand.since) == errand
                and each.since <= errand.since
            )
            found = next(like, None)
            if found is None:
                return False
            rest.remove(found)
        return True

    def _without(self, errand: Errand) -> list[Errand]:
        errands = list(self.errands)
        errands.remove(errand)
        return errands

    def _with(self, *errands: Errand) -> "Authority":
        """Return the same with other errands, without those that are void."""
        kept = (
            errand
            for errand in errands
            if errand.host != NOBODY
            or (errand.swap is not None and errand.swap.expected == self.held[-1])
        )
        return self._replace(errands=tuple(sorted(kept, key=repr)))


def _since(errand: Errand) -> int:
    return errand.since
