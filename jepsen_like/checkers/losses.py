"""
Faults that take away what a node alone knew.

A node that is wiped, restored from a backup, removed, or whose records are damaged may
lose what it has acknowledged, and so may one that sees that it must start over, and
one that is killed before it has brought to disk what it has said.  If no other node
had it yet it is gone, and that breaks no promise: who needs more asks for the
acknowledgement of several nodes.  So a checker takes such an operation as one that may
not have happened.
"""

from jepsen_like.history.history import FaultSpan, History
from jepsen_like.history.operation import Operation

STARTS_OVER = "start over"
"""What a node does by itself, and the only loss that nobody else has seen."""

LOSING = ("wipe", "restore", "flip", "removal", STARTS_OVER, "with losses")
"""Words in the names of such faults."""


class Losses:
    """When which nodes lost what they had stored."""

    def __init__(self, history: History) -> None:
        found: dict[str, tuple[FaultSpan, ...]] = {}
        for span in history.faults:
            if any(word in span.kind.lower() for word in LOSING):
                for node in span.nodes:
                    found[node] = (*found.get(node, ()), span)
        self._spans = found

    @property
    def ended(self) -> int:
        """Return when the last of them was over; -1 if there was none."""
        spans = [span for each in self._spans.values() for span in each]
        return max((span.ended for span in spans), default=-1)

    def __contains__(self, node: str) -> bool:
        """Tell whether *node* ever lost anything."""
        return node in self._spans

    def may_have_taken(self, operation: Operation) -> bool:
        """Tell whether the node of *operation* lost its store during it or later."""
        spans = self._spans.get(operation.node, ())
        return any(span.ended >= operation.called for span in spans)

    def gone_from(self, operation: Operation) -> int | None:
        """
        Return from when on a write that only its node had may be gone; None = never.

        That a node has started over is taken from the store that is judged, so it
        counts only if something that makes nodes forget was done to it before.
        """
        spans = self._spans.get(operation.node, ())
        done_to_it = [s.began for s in spans if STARTS_OVER not in s.kind.lower()]
        first = min(done_to_it, default=None)
        return min(
            (
                span.began
                for span in spans
                if first is not None
                and first <= span.began
                and span.ended >= operation.called
            ),
            default=None,
        )

    def epoch(self, operation: Operation) -> int | None:
        """Count the losses of its node before it; None if one fell into it."""
        before = 0
        for span in self._spans.get(operation.node, ()):
            if span.began <= operation.returned and span.ended >= operation.called:
                return None
            before += span.ended < operation.called
        return before
