"""Two sides of a range session in one test, and items wherever they are wanted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import pytest

from kvnode.core.replication import item_index
from kvnode.core.replication.entry_scan import finished
from kvnode.core.replication.item_index import IndexBuilder, ItemIndex
from kvnode.core.replication.range_message import MESSAGE_BYTES_MAX, RangeMessage
from kvnode.core.replication.range_reconciliation import RangeSession
from kvnode.types import EntryKey
from tests.core.replication.entries import at

SALT = 0x9E37_79B9_7F4A_7C15


def item(number: int) -> int:
    """Return a fingerprint: one of its own for each number."""
    return int.from_bytes(blake2b(number.to_bytes(8), digest_size=8).digest())


def _leading(key: EntryKey) -> int:
    return int.from_bytes(key.key[:4])


def index_of(items: Mapping[tuple[int, int], int]) -> ItemIndex:
    """Return the index of *items*, by position and by number among those at it."""
    builder = IndexBuilder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_index, "position", _leading)
        for (place, number), fingerprint in sorted(items.items()):
            builder.add(at(place.to_bytes(4) + number.to_bytes(2)), fingerprint)
    return finished(builder.finish())


def fingerprints(index: ItemIndex, slots: Iterable[int]) -> list[int]:
    """Return the fingerprints in *slots*, ascending."""
    return sorted(map(index.fingerprint_at, slots))


@dataclass
class Talk:
    """A session from beginning to end; `sizes` has a list for each step."""

    a: RangeSession
    b: RangeSession
    sizes: list[list[int]] = field(default_factory=list)

    @property
    def message_count(self) -> int:
        """How many messages there were."""
        return sum(map(len, self.sizes))

    @property
    def total_bytes(self) -> int:
        """How many bytes both sides sent."""
        return sum(map(sum, self.sizes))


def talk(a: ItemIndex, b: ItemIndex, salt: int = SALT) -> Talk:
    """Let the side of *a* begin a session with that of *b*."""
    result = Talk(RangeSession(a), RangeSession(b))
    hearer, speaker = result.b, result.a
    due = result.a.begin(salt)
    while due:
        encoded = [message.encode() for message in due]
        result.sizes.append([len(raw) for raw in encoded])
        assert max(result.sizes[-1]) <= MESSAGE_BYTES_MAX
        due = []
        for raw in encoded:
            assert not due, "nothing is said before the step is over"
            due = finished(hearer.receive(RangeMessage.decode(raw)))
        hearer, speaker = speaker, hearer
    assert result.a.finished
    assert result.b.finished
    return result
