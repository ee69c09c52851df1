"""
What Jepsen's nemesis did, as spans.

The nemesis writes two lines for all it does, when it begins and when it is done,
both `:info`.  What it calls `start` or `start-...` lasts until the `stop` of the
same name; all else lasts from its first line to its second.
"""

from typing import Final

from jepsen_like.history.history import FaultSpan

SPAN_COUNT_MAX: Final = 100_000
"""As many as our own recorder takes; what comes later is not kept."""

_LASTING: Final = "start"
_ENDING: Final = "stop"


class FaultSpans:
    """The faults told so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._begun: dict[str, tuple[int, str]] = {}
        self._spans: list[FaultSpan] = []

    def add(self, f: str, now: int, detail: str) -> None:
        """Take the next line of the nemesis: *f*, with *detail* for people."""
        if f.startswith(_LASTING):
            self._begun.setdefault(_kind(f, _LASTING), (now, detail))
        elif f.startswith(_ENDING):
            self._end(_kind(f, _ENDING), now)
        elif f in self._begun:
            self._end(f, now)
        elif len(self._begun) < SPAN_COUNT_MAX:
            self._begun[f] = (now, detail)

    def spans(self, now: int) -> list[FaultSpan]:
        """Return all, in order of their beginnings; what still lasts ends *now*."""
        for kind in list(self._begun):
            self._end(kind, now)
        return sorted(self._spans, key=lambda span: span.began)

    def _end(self, kind: str, now: int) -> None:
        if kind in self._begun and len(self._spans) < SPAN_COUNT_MAX:
            began, detail = self._begun.pop(kind)
            self._spans.append(FaultSpan(kind, began, max(began, now), (), detail))


def _kind(f: str, prefix: str) -> str:
    return f.removeprefix(prefix).lstrip("-") or "fault"
