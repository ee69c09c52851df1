"""
A document that many edit at once, with a leader that orders their updates.

    kvnode serve --objects document:Document

Editors merge Yjs updates (pycrdt) in any order and agree; the object adds what a CRDT
cannot: a number for each update, so that an editor knows what it has missed, and one
place that decides what belongs to the document.  Updates are joined into one from time
to time, so that a newcomer need not take all of them.
"""

from typing import Any, Final

from pycrdt import Doc, Text

from kvnode.objects import DurableObject, Transaction

JOINED_EVERY: Final = 100
PAGE: Final = 100


class Document(DurableObject):
    """One document."""

    async def update(self, update: bytes) -> int:
        """
        Take in a Yjs update; return its number.

        Raises:
            ValueError: It is none.
        """
        try:
            Doc[Any]().apply_update(update)
        except Exception as error:
            msg = f"these {len(update)} bytes are no Yjs update"
            raise ValueError(msg) from error
        number: int = await self.storage.get("last", 0) + 1
        await self.storage.put({"last": number, _place(number): update})
        if number % JOINED_EVERY == 0:
            await self.storage.transaction(self._join)
        return number

    async def since(self, number: int = 0) -> dict[str, Any]:
        """
        Return what an editor lacks that has all updates up to *number*.

        Returns:
            `updates`, in order; `last`, the number of the last of them. Ask again with
            that until there are none.
        """
        joined = await self.storage.get("joined", {"until": 0, "update": b""})
        if number < joined["until"]:
            return {"updates": [joined["update"]], "last": joined["until"]}
        rows = await self.storage.list(
            prefix="update/", start_after=_place(number), limit=PAGE
        )
        return {"updates": list(rows.values()), "last": number + len(rows)}

    async def text(self, name: str = "text") -> str:
        """Return a text of the document, as all updates together make it."""
        doc, last = Doc[Any](), 0
        while found := (page := await self.since(last))["updates"]:
            for update in found:
                doc.apply_update(update)
            last = page["last"]

        return str(doc.get(name, type=Text))

    async def _join(self, txn: Transaction) -> None:
        """Make one update of all there are."""
        doc = Doc[Any]()
        joined = await txn.get("joined", {"until": 0, "update": None})
        if joined["update"]:
            doc.apply_update(joined["update"])
        rows = await txn.list(prefix="update/")
        for update in rows.values():
            doc.apply_update(update)
        until = joined["until"] + len(rows)
        await txn.put("joined", {"until": until, "update": doc.get_update()})
        await txn.delete(list(rows))


def _place(number: int) -> str:
    return f"update/{number:012}"
