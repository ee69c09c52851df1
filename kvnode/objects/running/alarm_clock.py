"""The alarms of a shard, by when they are due; no more than a list to look at."""

from heapq import heapify, heappop, heappush

from kvnode.objects.storing.alarm import Alarm
from kvnode.types import Millis


class AlarmClock:
    """Which object's alarm is due next."""

    def __init__(self) -> None:
        self._due: dict[bytes, Millis] = {}
        self._heap: list[tuple[Millis, bytes]] = []  # also holds what is set no more

    def __len__(self) -> int:
        return len(self._due)

    def set(self, body: bytes, alarm: Alarm | None) -> None:
        """Note the alarm of the object of *body*, or that it has none."""
        if alarm is None:
            self._due.pop(body, None)
        elif self._due.get(body) != alarm.due:
            self.set_due(body, alarm.due)
        if len(self._heap) > 2 * len(self._due) + 16:
            self._heap = [(due, each) for each, due in self._due.items()]
            heapify(self._heap)

    def set_due(self, body: bytes, due: Millis) -> None:
        """Note that an alarm is due then."""
        self._due[body] = due
        heappush(self._heap, (due, body))

    def next_due(self) -> Millis | None:
        """Return when the next alarm is due; None = there is none."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: Millis, count_max: int) -> list[bytes]:
        """Return whose alarms are due, the first so many, and forget them."""
        taken: list[bytes] = []
        while len(taken) < count_max:
            due = self.next_due()
            if due is None or due > now:
                break
            body = heappop(self._heap)[1]
            del self._due[body]
            taken.append(body)
        return taken
