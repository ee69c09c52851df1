"""
Bytes between nodes of this machine, as the kernel counts them for each socket.

Nothing stands between the nodes that could slow them down: Linux tells over a
netlink socket what each TCP connection has received (`tcp_info`), which is the
payload without the headers of TCP and IP, gRPC's framing included.  A connection
counts as one between nodes if both its ends are theirs; a client's is not.  gRPC's
sockets are of IPv6 even where the addresses are of IPv4, so both are looked at.

What a connection received in its last moments, after the last look, is lost with
it; connections between nodes live as long as the nodes.

References:
    Linux, sock_diag(7); include/uapi/linux/inet_diag.h and tcp.h.
"""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from struct import Struct

import psutil

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DUMP_REQUEST = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_MESSAGE_END = 3  # NLMSG_DONE
_MESSAGE_ERROR = 2
_INFO = 2  # INET_DIAG_INFO
_EVERY_STATE = 0xFFFFFFFF
_HEADER = Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST = Struct("=BBBBI48x")  # inet_diag_req_v2, any addresses
_PORTS = Struct(">HH")  # at 4 in inet_diag_msg
_PORTS_AT = 4
_MESSAGE_BYTES = 72  # inet_diag_msg
_ATTRIBUTE = Struct("=HH")  # nlattr: length, type
_RECEIVED = Struct("=Q")
_RECEIVED_AT = 128  # tcpi_bytes_received in tcp_info
_BUFFER_BYTES = 1 << 20

Ports = tuple[int, int]
"""(own, other's) port of one end of a loopback connection."""


def is_counting() -> bool:
    """Tell whether this operating system counts for us."""
    return sys.platform == "linux"


class PeerBytes:
    """Counts what some nodes receive from each other, connection by connection."""

    def __init__(self) -> None:
        self._received: dict[tuple[int, Ports], int] = {}

    def look(self, pids: Sequence[int]) -> None:
        """Take the counters of connections among *pids*; processes may be gone."""
        ends = {pid: set(_ends(pid)) for pid in pids}
        counts = dict(counters())
        for pid, own in ends.items():
            others = set().union(*(ends[other] for other in pids if other != pid))
            for end in own:
                if end in counts and end[::-1] in others:
                    self._received[pid, end] = counts[end]

    def received(self, pid: int) -> int:
        """Return what connections seen so far have brought the process from others."""
        return sum(
            count for (owner, _), count in self._received.items() if owner == pid
        )


def _ends(pid: int) -> Iterator[Ports]:
    with suppress(psutil.NoSuchProcess):
        for connection in psutil.Process(pid).net_connections("tcp"):
            if connection.status == psutil.CONN_ESTABLISHED:
                yield connection.laddr.port, connection.raddr.port


def counters() -> Iterator[tuple[Ports, int]]:
    """Yield what each TCP connection of this machine has received."""
    for family in (socket.AF_INET, socket.AF_INET6):
        body = _REQUEST.pack(
            family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _EVERY_STATE
        )
        header = _HEADER.pack(
            _HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _DUMP_REQUEST, 1, 0
        )
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG
        ) as kernel:
            kernel.sendall(header + body)
            yield from _answers(kernel)


def _answers(kernel: socket.socket) -> Iterator[tuple[Ports, int]]:
    while True:
        data = kernel.recv(_BUFFER_BYTES)
        at = 0
        while at < len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind in {_MESSAGE_END, _MESSAGE_ERROR}:
                return
            yield from parse_counter(data[at + _HEADER.size : at + length])
            at += _aligned(length)


def parse_counter(message: bytes) -> Iterator[tuple[Ports, int]]:
    """Yield the ports and the count in one inet_diag_msg, if it has a count."""
    own, other = _PORTS.unpack_from(message, _PORTS_AT)
    at = _MESSAGE_BYTES
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        least = _ATTRIBUTE.size + _RECEIVED_AT + _RECEIVED.size
        if kind == _INFO and min(length, len(message) - at) >= least:
            (count,) = _RECEIVED.unpack_from(
                message, at + _ATTRIBUTE.size + _RECEIVED_AT
            )
            yield (own, other), count
        if length < _ATTRIBUTE.size:
            return  # no attribute has less than its own head
        at += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
