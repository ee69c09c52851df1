"""
Strongly connected components, without recursion.

Reference:
    Tarjan, 1972.  Depth-first search and linear graph algorithms.
"""

from collections.abc import Callable, Iterable, Iterator

_END = -1


def strong_components(
    roots: Iterable[int], after: Callable[[int], Iterator[int]]
) -> list[list[int]]:
    """
    Return the components of more than one node, each sorted.

    Args:
        roots: Nodes, >= 0, from which to look.
        after: Returns the nodes to which edges lead from a node.
    """
    search = _Search(after)
    for root in roots:
        search.visit(root)
    return search.components


class _Search:
    """The state of Tarjan's algorithm."""

    def __init__(self, after: Callable[[int], Iterator[int]]) -> None:
        self.components: list[list[int]] = []
        self._after = after
        self._index: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._open: list[int] = []
        self._is_open: set[int] = set()

    def _enter(self, node: int) -> tuple[int, Iterator[int]]:
        self._index[node] = self._low[node] = len(self._index)
        self._open.append(node)
        self._is_open.add(node)
        return node, self._after(node)

    def visit(self, root: int) -> None:
        """Look at all that can be reached from *root*, unless that was done."""
        if root in self._index:
            return
        index, low, is_open = self._index, self._low, self._is_open
        stack = [self._enter(root)]
        while stack:
            node, following = stack[-1]
            one = next(following, _END)
            if one == _END:
                stack.pop()
                self._leave(node)
                if stack:
                    parent = stack[-1][0]
                    low[parent] = min(low[parent], low[node])
            elif one not in index:
                stack.append(self._enter(one))
            elif one in is_open:
                low[node] = min(low[node], index[one])

    def _leave(self, node: int) -> None:
        if self._low[node] != self._index[node]:
            return
        component = []
        while True:
            one = self._open.pop()
            self._is_open.discard(one)
            component.append(one)
            if one == node:
                break
        if len(component) > 1:
            component.sort()
            self.components.append(component)
