"""Writing on a service's own behalf, and waiting for it."""

import asyncio

from kvnode.api.port import NodePort
from kvnode.api.write_replies import refusal
from kvnode.core.node.commands import Command, Refused
from kvnode.core.node.events import Reply
from kvnode.errors import KvError


async def write_and_wait(node: NodePort, commands: tuple[Command, ...]) -> None:
    """
    Apply *commands* and return once they are durable here.

    Raises:
        KvError: As the node answered.
        InvalidArgumentError: A command was refused; nothing of it happened.
        UnavailableError: A key is damaged, or the node's clock is wrong; nothing of
            its command happened.
    """
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def on_reply(reply: Reply | KvError) -> None:
        if future.done():
            return
        if isinstance(reply, KvError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    node.write(commands, on_reply)
    for outcome in (await future).outcomes:
        if isinstance(outcome, Refused):
            raise refusal(outcome)
