"""
Documents: what was put into a text together is all there, once.

Each insertion adds a marker, a text of its own.  At the quiet end the text of
every node must be made of markers alone: each acknowledged one exactly once,
each that may have been added at most once, and none that failed.  Their order
is the document's business.  At any earlier time a text is made of markers that
had been asked for by then, each at most once.

References:
    Nicolaescu, Jahns, Derntl & Klamma, 2016.  Near real-time peer-to-peer shared
        editing on extensible data types: YATA, which does not interleave
        insertions.
    Kleppmann, Gomes, Mulligan & Beresford, 2019.  Interleaving anomalies in
        collaborative text editors.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from jepsen_like.checkers.access import FINAL, is_final
from jepsen_like.checkers.losses import Losses
from jepsen_like.history.history import History
from jepsen_like.history.operation import Key, Operation, Outcome, Value
from jepsen_like.verdict import Judgement, Verdict, Witness

NAME = "document"

SHOWN_MAX = 40
"""Of a text that nobody has added, so many characters are shown."""


def check(history: History) -> Judgement:
    """
    Judge each text that was read, and the final ones for what they lack.

    Args:
        history: Insertions are `append` with the marker as argument, reads are
            `text` and `final-text`.

    Returns:
        UNKNOWN if markers cannot be told apart or there are no final texts.
        Costs O(length of the texts * different lengths of markers).
    """
    by_key = history.by_key()
    witnesses: list[Witness] = []
    documents = 0
    losses = Losses(history)
    for key, operations in by_key.items():
        insertions = [each for each in operations if each.f == "append"]
        markers = [str(each.argument) for each in insertions]
        problem = _ambiguity(markers)
        if problem:
            return Judgement(NAME, Verdict.UNKNOWN, f"at key {key!r}: {problem}")
        reads = [
            each
            for each in operations
            if each.f.removeprefix(FINAL) == "text" and each.outcome is Outcome.OK
        ]
        document = _Document(key, insertions, losses)
        documents += any(is_final(read) for read in reads)
        witnesses += [found for read in reads if (found := document.wrong(read))]
    figures = {"documents": documents}
    if witnesses:
        reason = f"{len(witnesses)} texts are not what was put together"
        return Judgement(NAME, Verdict.INVALID, reason, tuple(witnesses), figures)
    if not documents:
        reason = "no final text was read, so nothing shows what is left"
        return Judgement(NAME, Verdict.UNKNOWN, reason, figures=figures)
    return Judgement(NAME, Verdict.VALID, figures=figures)


class _Document:
    """The insertions of one key."""

    def __init__(self, key: Key, insertions: list[Operation], losses: Losses) -> None:
        self._key = key
        self._by_marker = {str(each.argument): each for each in insertions}
        self._lengths = sorted({len(marker) for marker in self._by_marker})
        # What only a node had that lost its store may be gone.
        self._lasting = [
            each
            for each in insertions
            if each.outcome is Outcome.OK and not losses.may_have_taken(each)
        ]

    def wrong(self, read: Operation) -> Witness | None:
        """Return what is wrong with the text that was read, or None."""
        if not isinstance(read.result, str):
            return self._witness("no text", f"is {read.result!r}, not a text", (read,))
        found, foreign = self._markers(read.result)
        if foreign is not None:
            what = f"has {foreign[:SHOWN_MAX]!r}, which nobody has added as such"
            return self._witness("foreign text", what, (read,))
        for marker, times in found.items():
            witness = self._misplaced(read, self._by_marker[marker], times)
            if witness is not None:
                return witness
        return self._lacking(read, found) if is_final(read) else None

    def _misplaced(
        self, read: Operation, insertion: Operation, times: int
    ) -> Witness | None:
        marker = insertion.argument
        if times > 1:
            what = f"has {marker!r} {times} times, which was added once"
            return self._witness("added twice", what, (insertion, read))
        if insertion.outcome is Outcome.FAIL:
            what = f"has {marker!r}, whose insertion had failed"
            return self._witness("failed insertion", what, (insertion, read))
        if insertion.called > read.returned:
            what = f"has {marker!r} before it was added"
            return self._witness("from the future", what, (read, insertion))
        return None

    def _lacking(self, read: Operation, found: Counter[str]) -> Witness | None:
        for insertion in self._lasting:
            if str(insertion.argument) not in found:
                what = f"lacks {insertion.argument!r} in the end, acknowledged before"
                return self._witness("lost insertion", what, (insertion, read))
        return None

    def _markers(self, text: str) -> tuple[Counter[str], str | None]:
        """Return how often each marker is in *text*, and what follows the last."""
        found: Counter[str] = Counter()
        at = 0
        while at < len(text):
            for length in self._lengths:
                marker = text[at : at + length]
                if marker in self._by_marker:
                    found[marker] += 1
                    at += length
                    break
            else:
                return found, text[at:]
        return found, None

    def _witness(
        self, kind: str, what: str, operations: tuple[Operation, ...]
    ) -> Witness:
        read = next(each for each in operations if each.f != "append")
        where = f" at {read.node}" if read.node else ""
        explanation = f"The text of {self._key!r}{where} {what}."
        return Witness(kind, explanation, operations, self._key)


def _ambiguity(markers: Iterable[Value]) -> str:
    """Return why texts cannot be taken apart into *markers*; empty if they can."""
    ordered = sorted(map(str, markers))
    if ordered and not ordered[0]:
        return "an insertion adds nothing"
    for first, second in pairwise(ordered):
        if second.startswith(first):
            return (
                f"marker {first!r} is the beginning of {second!r}, so a text cannot be"
                " taken apart; end each with a character that none has elsewhere"
            )
    return ""
