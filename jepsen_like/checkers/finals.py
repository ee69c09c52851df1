"""
Questions asked of every node at the quiet end, for judges that do not know them.

They are called `final-read`, `final-value` and so on.  A store that claims one order
of all operations answers them as any others, so they are ordinary operations at the
end; only what a node answers from what it has gone through itself, its log of
conflicts, is none of the object's.  Sessions did not ask them: who judges sessions
leaves them out.
"""

from typing import Final

from jepsen_like.checkers.access import FINAL, is_final
from jepsen_like.history.history import History

_OF_A_NODE: Final = frozenset({f"{FINAL}conflicts"})


def with_finals(history: History) -> History:
    """Return *history* with final questions under their ordinary names."""
    operations = history.operations
    if not any(map(is_final, operations)):
        return history
    return History.of(
        (
            each._replace(f=each.f.removeprefix(FINAL))
            for each in operations
            if each.f not in _OF_A_NODE
        ),
        history.faults,
        history.header,
    )


def without_finals(history: History) -> History:
    """Return *history* without final questions."""
    operations = history.operations
    if not any(map(is_final, operations)):
        return history
    return History(
        tuple(each for each in operations if not is_final(each)),
        history.faults,
        history.header,
    )
