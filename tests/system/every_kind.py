"""One key of each kind that a store can hold, to be found again elsewhere."""

from pycrdt import Doc, Text

from kvnode.client import Client, Item
from tests.system.client_program import LARGE_BYTES


async def write_every_kind(client: Client, name: str) -> None:
    """Make one key of each kind, under the name of who writes, and common ones."""
    await client.put(f"{name}/register", name, metadata={"by": name})
    await client.put(f"{name}/expiring", name, ttl=3600.0)
    await client.put(f"{name}/expired", name, ttl=0.001)
    await client.put(f"{name}/large", name.ljust(LARGE_BYTES, "."))
    await client.put(f"{name}/deleted", name)
    await client.delete(f"{name}/deleted")
    for counter in (f"{name}/counter", "common/counter"):
        await client.counter(counter).increment(2)
    for members in (f"{name}/set", "common/set"):
        await client.set(members).add(name, "taken out")
        await client.set(members).remove("taken out")
    document: Doc[Text] = await client.document("common/document").load()
    document.get("text", type=Text).insert(0, name)
    await client.document("common/document").save(document)


def check_every_kind(held: dict[bytes, Item], name: str) -> None:
    """Check that *held* has all that was written under *name*."""

    def value(key: str) -> bytes | None:
        return held[f"{name}/{key}".encode()].value

    assert value("register") == name.encode()
    assert held[f"{name}/register".encode()].metadata == {"by": name}
    assert held[f"{name}/expiring".encode()].expires_at is not None
    assert value("large") == name.encode().ljust(LARGE_BYTES, b".")
    assert value("counter") == b"2"
    assert not {f"{name}/expired".encode(), f"{name}/deleted".encode()} & held.keys()
    assert name in str(held[b"common/document"].value)
