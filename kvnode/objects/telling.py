"""
How somebody is told what came of a call, without a task that waits for it.

A task for each that only waits costs as much as the call itself.
"""

from collections.abc import Callable

Told = bytes | Exception
"""A result as `kvnode.object_values.encode_value` has it, or why there is none."""

Tell = Callable[[Told], None]
"""Is called once, perhaps before whoever has passed it goes on; must not raise."""

Leave = Callable[[], object]
"""Says that nobody waits any more: what runs goes on, and may be told or not."""


def nothing_to_leave() -> None:
    """Leave what is over."""
