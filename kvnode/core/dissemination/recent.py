"""
What has been seen lately: payloads to answer grafts with, and names of pushes.

Names are kept longer than payloads, so that what comes again is known for a
duplicate.  Both are bounded; a graft for a payload that is gone is answered with
"absent", and the asker finds the writes through a delta (rule D1), for which the
store itself is the source.
"""

from collections import OrderedDict

from kvnode.core.dissemination.messages import PushId, push_id
from kvnode.core.replication.messages import Push

SEEN_MAX = 16_384
"""At 1,000 pushes a second, 16 s: announcements are repeated for two seconds."""


class RecentPushes:
    """Pushes had, oldest first; `bytes_max` and `count_max` bound the payloads."""

    def __init__(self, bytes_max: int, count_max: int) -> None:
        self._bytes_max = bytes_max
        self._count_max = count_max
        self._seen: OrderedDict[PushId, None] = OrderedDict()
        self._payloads: OrderedDict[PushId, Push] = OrderedDict()
        self.size_bytes = 0

    def __contains__(self, name: PushId) -> bool:
        """Tell whether the push was seen, as far as is remembered."""
        return name in self._seen

    def __len__(self) -> int:
        """Return how many payloads are kept."""
        return len(self._payloads)

    def add(self, push: Push) -> None:
        """Keep *push*, which is new here; what is oldest goes."""
        name = push_id(push)
        self._seen[name] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        self._payloads[name] = push
        self.size_bytes += push.size_bytes
        while self._payloads and (
            self.size_bytes > self._bytes_max or len(self._payloads) > self._count_max
        ):
            _, gone = self._payloads.popitem(last=False)
            self.size_bytes -= gone.size_bytes

    def payload(self, name: PushId) -> Push | None:
        """Return the push, if it is still kept."""
        return self._payloads.get(name)
