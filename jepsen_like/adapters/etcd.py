"""etcd, the worked example of docs/testing-your-store.md: registers and swaps."""

import json
from functools import partial

import aetcd

from jepsen_like.adapters.supervisor import HOST, Supervisor, free_ports, until
from jepsen_like.history.operation import Key, Value
from jepsen_like.system import Answer, FailedError

SECONDS = 3  # how long an operation may take
ERRORS = (aetcd.ClientError, aetcd.rpc.AioRpcError, TimeoutError)


class EtcdClient:
    """A connection to one member."""

    def __init__(self, port: int) -> None:
        self._etcd = aetcd.Client(host=HOST, port=port, timeout=SECONDS)

    async def invoke(self, f: str, key: Key, argument: Value) -> Answer:
        """Do a read, a write or a cas; any error of a write leaves it in doubt."""
        name, etcd, terms = str(key).encode(), self._etcd, self._etcd.transactions
        match f, argument:
            case "read", None:  # linearizable, unless etcd is told otherwise
                try:
                    found = await etcd.get(name)
                except ERRORS as error:  # it has changed nothing
                    raise FailedError(str(error)) from error
                return Answer(json.loads(found.value) if found else None)
            case "write", value:
                await etcd.put(name, json.dumps(value).encode())
                return Answer()
            case "cas", (expected, new):
                holds = terms.value(name) == json.dumps(expected).encode()
                if expected is None:
                    holds = terms.version(name) == 0  # there is no such key
                put = terms.put(name, json.dumps(new).encode())
                swapped, _ = await etcd.transaction([holds], [put], [])
                return Answer(bool(swapped))
            case _:
                msg = f"etcd is not asked to {f} {argument!r} here"
                raise ValueError(msg)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._etcd.close()


class EtcdSystem(Supervisor):
    """A cluster on this machine; the supervisor kills, starts, pauses and resumes."""

    title = "etcd"

    async def set_up(self) -> None:
        """Start all members; return when each answers a linearizable read."""
        ports, peers = free_ports(self.nodes), free_ports(self.nodes)
        members = ",".join(f"{node}=http://{HOST}:{peers[node]}" for node in self.nodes)
        for node in self.nodes:
            here, there = f"http://{HOST}:{ports[node]}", f"http://{HOST}:{peers[node]}"
            command = ["etcd", "--name", node]
            command += ["--listen-client-urls", here, "--advertise-client-urls", here]
            command += ["--listen-peer-urls", there, "--initial-cluster", members]
            command += ["--initial-advertise-peer-urls", there]
            self.add(node, command, ports[node])
        await self.start(self.nodes)
        for node in self.nodes:
            client = await self.connect(0, node)
            await until(partial(client.invoke, "read", "any", None), FailedError)
            await client.close()

    async def connect(self, process: int, node: str) -> EtcdClient:
        """Return a client of *node*; etcd has no sessions for *process* to keep."""
        del process
        return EtcdClient(self.port(node))
