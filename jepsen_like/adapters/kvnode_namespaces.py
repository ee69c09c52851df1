"""
kvnode as real processes with a real network between them; needs root.

All as in `jepsen_like.adapters.kvnode_processes`, except for the network: each
node is in a network namespace of its own, and cuts are packet filters.
"""

import asyncio
from collections.abc import Mapping

from cluster.namespaces import NamespaceNetwork, remove_leftovers, why_not
from jepsen_like.adapters.kvnode_processes import KvnodeProcesses
from jepsen_like.nemesis.faults import Cut, Disturb, Flood, Garble, Heal
from jepsen_like.system import NotPossibleError


class KvnodeNamespaces(KvnodeProcesses):
    """A cluster of real nodes, each behind a cable; a `jepsen_like.system.System`."""

    _network: NamespaceNetwork | None = None

    @property
    def name(self) -> str:
        """What is tested."""
        return f"{super().name}, network namespaces"

    @property
    def network(self) -> NamespaceNetwork:
        """What joins the nodes, from `set_up` on."""
        assert self._network is not None, "set_up comes first"
        return self._network

    async def _lay_roads(self) -> None:
        """
        Make the namespaces, and have the nodes live there.

        Raises:
            NamespaceError: They cannot be made here.
        """
        if reason := await asyncio.to_thread(why_not):
            raise NotPossibleError(reason)
        await asyncio.to_thread(remove_leftovers)
        self._network = NamespaceNetwork(self.nodes)
        await asyncio.to_thread(self._network.open)
        for name in self.nodes:
            self.cluster.place(
                name,
                host=self._network.address(name),
                launcher=self._network.launcher(name),
            )

    async def _roads_of(self, name: str) -> Mapping[str, object]:
        """Return nothing: nodes reach each other at their own addresses."""
        del name
        return {}

    async def _clear_roads(self) -> None:
        """Remove the namespaces."""
        if self._network is not None:
            await asyncio.to_thread(self._network.close)
            self._network = None

    def _change_links(self, fault: Cut | Disturb | Heal) -> None:
        match fault:
            case Cut(links):
                for link in links:
                    self.network.cut(link)
            case Heal():
                self.network.heal()
            case Disturb():
                msg = "cables between namespaces are cut or whole, not bad"
                raise NotPossibleError(msg)

    async def _pose_as_peer(self, fault: Flood | Garble) -> None:
        msg = f"{type(fault).__name__} takes a proxy, which resets a connection"
        raise NotPossibleError(msg)
