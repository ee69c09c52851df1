"""
A shopping cart that empties itself when nobody has touched it for half an hour.

    kvnode serve --objects cart:Cart
    kvnode object call Cart visitor-7 add apple

The alarm is kept with the cart: it rings after a crash, too.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kvnode.objects import DurableObject, Transaction

IDLE: Final = timedelta(minutes=30)
QUANTITY_MAX: Final = 99


class Cart(DurableObject):
    """One visitor's cart."""

    async def add(self, article: str, quantity: int = 1) -> int:
        """Put something into the cart; return how many of it are there."""
        there: int = await self.storage.get(f"item/{article}", 0) + quantity
        if not 0 < there <= QUANTITY_MAX:
            msg = f"a cart holds 1 to {QUANTITY_MAX} of an article, not {there}"
            raise ValueError(msg)
        await self.storage.put(f"item/{article}", there)
        await self._touched()
        return there

    async def remove(self, article: str) -> bool:
        """Take an article out; tell whether it was there."""
        await self._touched()
        return bool(await self.storage.delete(f"item/{article}"))

    async def items(self) -> dict[str, int]:
        """Return what is in the cart."""
        found = await self.storage.list(prefix="item/")
        return {key.removeprefix("item/"): count for key, count in found.items()}

    async def check_out(self, prices: dict[str, int]) -> dict[str, Any]:
        """
        Make an order of what is in the cart, and empty it: both or neither.

        Call it with an idempotency key, and trying again after a lost answer makes no
        second order.
        """

        async def order(txn: Transaction) -> dict[str, Any]:
            items = await self.items()
            if not items:
                msg = "the cart is empty"
                raise ValueError(msg)
            number: int = await txn.get("orders", 0) + 1
            total = sum(prices[article] * count for article, count in items.items())
            made = {"number": number, "items": items, "total": total}
            await txn.put({"orders": number, f"order/{number:06}": made})
            await txn.delete([f"item/{article}" for article in items])
            return made

        made = await self.storage.transaction(order)
        await self.storage.delete_alarm()
        return made

    async def alarm(self) -> None:
        """Empty the cart."""
        await self.storage.delete([f"item/{article}" for article in await self.items()])

    async def _touched(self) -> None:
        await self.storage.set_alarm(datetime.now(UTC) + IDLE)
