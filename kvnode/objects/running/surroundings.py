"""What an object in memory stands on."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from kvnode.objects.durable_object import Environment
from kvnode.objects.points.shard_history import ShardHistory
from kvnode.objects.running.log_port import ShardLog
from kvnode.objects.storing.alarm import Alarm
from kvnode.objects.storing.sql.open_databases import OpenDatabases
from kvnode.types import Millis

if TYPE_CHECKING:  # it is made from these
    from kvnode.objects.running.instance import Instance


class Surroundings(NamedTuple):
    """
    What an instance stands on.

    Attributes:
        shard: Where it lives.
        log: The log of its shard, and the state.
        history: Of the shard; entries go to the log through it.
        databases: Those that are open in the shard.
        env: Other objects.
        now: Returns ms since 1970.
        chance: Draws a number in [0, 1).
        alarm_changed: Called with an object's body and its alarm once that is durable.
        committed: Called when entries of it are, and may not show in the state yet.
        broken: Called once the instance must be replaced.
    """

    shard: str
    log: ShardLog
    history: ShardHistory
    databases: OpenDatabases
    env: Callable[["Instance"], Environment]
    now: Callable[[], Millis]
    chance: Callable[[], float]
    alarm_changed: Callable[[bytes, Alarm | None], None]
    committed: Callable[["Instance"], None]
    broken: Callable[["Instance"], None]
