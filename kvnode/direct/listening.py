"""Ports of this node that asyncio serves: bound first, and listened at later."""

import socket
from typing import Final

ANY_IPV6: Final = "::"
"""Who is bound there hears IPv4 as well, as gRPC does."""


def bound_socket(host: str, port: int) -> socket.socket:
    """
    Return a socket that is bound, and does not listen yet; blocks.

    Args:
        host: A name or an address.  Of a name that has several, one of IPv4 if there is
            one: it is one socket, so that a free port is the same for all.
        port: 0 takes a free one.

    Raises:
        OSError: It cannot be bound.
    """
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            is_alone = host != ANY_IPV6
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, is_alone)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def set_if_known(connection: socket.socket, option: str, value: int) -> None:
    """Set an option of TCP by its name, where the system has it: each has some."""
    number = getattr(socket, option, None)
    if number is not None:
        connection.setsockopt(socket.IPPROTO_TCP, number, value)
