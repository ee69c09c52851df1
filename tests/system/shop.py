"""Classes of objects that nodes in tests serve."""

from kvnode.objects import DurableObject


class Counter(DurableObject):
    """Counts."""

    async def increment(self, by: int = 1) -> int:
        """Add *by*; return the sum."""
        value: int = await self.storage.get("value", 0) + by
        await self.storage.put("value", value)
        return value

    async def value(self) -> int:
        """Return the sum."""
        found: int = await self.storage.get("value", 0)
        return found
