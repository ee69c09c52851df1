"""Where a node that serves objects dials the others."""

from types import SimpleNamespace
from typing import Any, cast

from kvnode.config import PeerConfig
from kvnode.core.versions.store_view import PeerAddress
from kvnode.runtime.objects.serving import addresses_of


def test_node_dials_where_it_was_told_to_and_else_where_peers_say_they_are() -> None:
    """A proxy that only this node can use is in nobody's own words."""
    met = (PeerAddress("a", "a:7400", region="x"), PeerAddress("b", "b:7400"))
    told = (PeerConfig(name="a", address="127.0.0.1:1"), PeerConfig(address="c:7400"))
    node = SimpleNamespace(
        config=SimpleNamespace(peers=told),
        driver=SimpleNamespace(known_peers=lambda: met),
    )

    assert addresses_of(cast("Any", node)) == [
        PeerAddress("a", "127.0.0.1:1", region="x"),
        PeerAddress("b", "b:7400"),
    ]
