"""
How deep the shared types of a Yjs document lie within each other.

A block names its parent, or a neighbour, which has the same one.  Native code
that reads or deletes nested types does so by recursion; what an update adds to
them is therefore measured before it is accepted.
"""

from bisect import bisect_right

from kvnode.core.crdt.yjs_update import Block, Id


def nesting_depth(blocks: list[Block], *, depth_max: int) -> int:
    """
    Return how many shared types lie within each other, at most *depth_max* + 1.

    A block whose neighbour or parent has not arrived counts as one of a root.
    """
    parents = _Parents(blocks)
    depths: dict[Id, int] = {}
    deepest = 0
    for block in blocks:
        if not block.makes_type:
            continue
        chain: list[Id] = []
        where: Id | None = (block.client, block.clock)
        while where is not None and where not in depths and len(chain) <= depth_max:
            chain.append(where)
            where = parents.parent_of(where)
        depth = depths.get(where, 0) if where is not None else 0
        for inner in reversed(chain):
            depth += 1
            depths[inner] = depth
        deepest = max(deepest, depth)
    return min(deepest, depth_max + 1)


class _Parents:
    """Finds the parent of any operation; remembers what it found."""

    def __init__(self, blocks: list[Block]) -> None:
        self._blocks: dict[int, list[Block]] = {}
        for block in sorted(blocks, key=lambda b: (b.client, b.clock)):
            self._blocks.setdefault(block.client, []).append(block)
        self._starts = {c: [b.clock for b in bs] for c, bs in self._blocks.items()}
        self._found: dict[Id, Id | None] = {}

    def parent_of(self, where: Id) -> Id | None:
        """Return the operation that made the type that holds *where*."""
        path: list[Id] = []
        parent: Id | None = None
        while block := self._find(where):
            start = (block.client, block.clock)
            if start in self._found:
                parent = self._found[start]
                break
            self._found[start] = None  # ends a circle, which only a fault can draw
            path.append(start)
            if block.link is None:
                parent = block.parent
                break
            where = block.link
        self._found.update(dict.fromkeys(path, parent))
        return parent

    def _find(self, where: Id) -> Block | None:
        client, clock = where
        position = bisect_right(self._starts.get(client, []), clock) - 1
        if position < 0:
            return None
        block = self._blocks[client][position]
        return block if clock < block.clock + block.length else None
