"""
What a node has learned about links beyond what the member view says.

Trees are computed, and what is learned are exceptions, by tree and peer:

    duplicate, PRUNE_AFTER times in a row    Prune: the peer stops sending unasked
    graft, KEEP_AFTER times in a row         Graft with `keep`: it begins to

The paper prunes at the first duplicate and grafts for good at the first miss; a lost
or late message then rebuilds the tree, and the next one rebuilds it back (Corrosion
pull request 492).  A row of them says that something has changed.

References:
    Leitao, Pereira & Rodrigues, 2007.  Epidemic broadcast trees.  Sections 3.6, 3.8.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from kvnode.core.dissemination.overlay import Tree
from kvnode.core.dissemination.ring import FAN_OUT, TREES
from kvnode.types import ReplicaId

PRUNE_AFTER = 3
"""One late message makes one duplicate; three in a row come from a second road."""

KEEP_AFTER = 3
"""By chance: once in 64 pushes where one node in four lacks its payload."""

EXCEPTIONS_MAX = 1024
"""Of each kind; 32 regions have 256 trees, so this is a few links for each tree."""

KEPT_OF_TREE_MAX = 2 * FAN_OUT
"""Twice as many as a tree gives a node: no node becomes the centre of a star."""

TREES_MAX = 32 * TREES
"""Trees of 32 regions."""

Link = tuple[Tree, ReplicaId]


class Links:
    """Exceptions to computed trees; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Tree, OrderedDict[ReplicaId, None]] = OrderedDict()
        self._pruned: OrderedDict[Link, None] = OrderedDict()
        self._duplicates: OrderedDict[Link, int] = OrderedDict()
        self._misses: OrderedDict[Tree, int] = OrderedDict()

    def eager(self, tree: Tree, computed: Sequence[ReplicaId]) -> Iterator[ReplicaId]:
        """Yield whom to send to, each once: *computed* with the exceptions."""
        kept = self._kept.get(tree, ())
        for peer in computed:
            if peer not in kept and not self.is_pruned(tree, peer):
                yield peer
        yield from kept

    def is_pruned(self, tree: Tree, peer: ReplicaId) -> bool:
        """Tell whether *peer* wants nothing unasked by *tree*."""
        return bool(self._pruned) and (tree, peer) in self._pruned

    def keep(self, tree: Tree, peer: ReplicaId) -> None:
        """Send to *peer* from now on: it asked for that."""
        self._pruned.pop((tree, peer), None)
        kept = self._kept.setdefault(tree, OrderedDict())
        kept[peer] = None
        self._kept.move_to_end(tree)
        if len(kept) > KEPT_OF_TREE_MAX:
            kept.popitem(last=False)
        if len(self._kept) > TREES_MAX:
            self._kept.popitem(last=False)

    def prune(self, tree: Tree, peer: ReplicaId) -> None:
        """Send nothing unasked to *peer* from now on."""
        if tree in self._kept:
            self._kept[tree].pop(peer, None)
        self._pruned[tree, peer] = None
        if len(self._pruned) > EXCEPTIONS_MAX:
            self._pruned.popitem(last=False)

    def duplicate(self, tree: Tree, peer: ReplicaId) -> bool:
        """Note that *peer* sent what was here; tell whether to prune it now."""
        count = self._duplicates.pop((tree, peer), 0) + 1
        if count >= PRUNE_AFTER:
            return True
        self._duplicates[tree, peer] = count
        if len(self._duplicates) > EXCEPTIONS_MAX:
            self._duplicates.popitem(last=False)
        return False

    def arrived(self, tree: Tree, peer: ReplicaId) -> None:
        """Note that *peer* was the first to send a push, unasked."""
        self._duplicates.pop((tree, peer), None)
        self._misses.pop(tree, None)

    def missed(self, tree: Tree) -> None:
        """Note that a push had to be grafted."""
        self._misses[tree] = self._misses.get(tree, 0) + 1
        if len(self._misses) > EXCEPTIONS_MAX:
            self._misses.popitem(last=False)

    def wants_keeping(self, tree: Tree) -> bool:
        """Tell whether the next graft should change the tree."""
        return self._misses.get(tree, 0) >= KEEP_AFTER

    def forget(self) -> None:
        """Forget all: the trees are computed from other members now."""
        self._kept.clear()
        self._pruned.clear()
        self._duplicates.clear()
        self._misses.clear()
