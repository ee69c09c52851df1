"""Namespaces are entries: they come and go with writes, from anywhere."""

import pytest

from kvnode._pb import kv_pb2 as pb
from kvnode.api.namespaces import Namespaces, registration
from kvnode.core.node.commands import Delete, Put
from kvnode.core.replication.messages import Push, wire_entry
from kvnode.errors import InvalidArgumentError, NamespaceNotFoundError
from kvnode.types import DEFAULT_NAMESPACE, SYSTEM_NAMESPACE, Namespace
from tests.api.services import Api
from tests.runtime.nodes import PEER, foreign

SHOP = Namespace("shop")


async def test_namespace_is_known_as_soon_as_it_is_made(api: Api) -> None:
    """And no longer when it is deleted; its keys are apart from all others."""
    assert api.namespaces.names() == ["default"]
    await api.node.queue(Put(registration(SHOP), b"{}"))
    assert api.namespaces.names() == ["default", "shop"]
    await api.put(pb.PutRequest(namespace="shop", key=b"k", value=b"shop's"))
    assert (await api.get(b"k")).type == pb.VALUE_TYPE_ABSENT

    await api.node.queue(Delete(registration(SHOP)))

    assert SHOP not in api.namespaces
    with pytest.raises(NamespaceNotFoundError):
        api.namespaces.check(SHOP)


async def test_namespace_made_elsewhere_is_known_when_it_arrives(api: Api) -> None:
    """It replicates like any entry."""
    await api.node.peer_up()
    entry = wire_entry(registration(SHOP), foreign(1))
    await api.node.receive(Push(PEER, 1, 1, (entry,)))

    assert SHOP in api.namespaces


async def test_namespaces_are_found_again_after_a_restart(api: Api) -> None:
    """Those that were not deleted."""
    await api.node.queue(Put(registration(SHOP), b"{}"))
    await api.node.queue(Put(registration(Namespace("gone")), b"{}"))
    await api.node.queue(Delete(registration(Namespace("gone"))))

    with api.node.driver.snapshot() as view:
        assert Namespaces(view).names() == ["default", "shop"]


async def test_default_namespace_cannot_be_lost(api: Api) -> None:
    """Whatever its registration says."""
    await api.node.queue(Put(registration(DEFAULT_NAMESPACE), b"{}"))
    await api.node.queue(Delete(registration(DEFAULT_NAMESPACE)))

    assert DEFAULT_NAMESPACE in api.namespaces


async def test_system_namespace_is_no_namespace_of_users(api: Api) -> None:
    """Or they could make and delete namespaces unseen."""
    with pytest.raises(NamespaceNotFoundError):
        api.namespaces.check(SYSTEM_NAMESPACE)


async def test_name_too_long_for_any_is_told_without_repeating_it(api: Api) -> None:
    """An error's text travels in metadata, which holds a few KiB."""
    with pytest.raises(InvalidArgumentError, match="100000 characters"):
        api.namespaces.check(Namespace("n" * 100_000))
