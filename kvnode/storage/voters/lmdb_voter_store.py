"""
A voter's memory in a small LMDB environment of its own.

    meta        format u16; home, see kvnode.storage.disk.founding; voter u64
    voters      u64 voter -> u8 barred, then maybe an electorate three times: pledge,
                electorate, successor (kvnode.core.objects.voters.fields)
    registers   u64 voter, name -> state

Every row carries a checksum.  One that fails it cannot be healed: who does not know
what it had promised must not vote.  So the store is refused, and whoever runs the node
deletes its directory: then the voter is a new one, and replaces the one it was.

The same is true of a store that was copied or restored, for the original may have
voted since.  It is told by its home and goes on under a new identity, from nothing, and
barred from founding.  What it held stays under the old identity,
and nothing here reads it: it is for whoever has lost a majority of voters.

What cannot be noticed is a disk that was put back with the file system under it, as by
the snapshot of a virtual machine.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final

import lmdb

from kvnode.core.objects.caspaxos import VoterState
from kvnode.core.objects.voters.fields import (
    FieldReader,
    encode_electorate,
    encode_maybe,
    encode_state,
)
from kvnode.core.objects.voters.memory import VoterMemory
from kvnode.durable_file import sync_directory
from kvnode.errors import CorruptRecordError, RejectedError
from kvnode.storage.disk.directory_lock import DirectoryLock
from kvnode.storage.disk.disk_thread import DiskThread
from kvnode.storage.disk.founding import home_row
from kvnode.storage.disk.opening import open_alone
from kvnode.storage.disk.room import translated
from kvnode.storage.meta_codec import seal, unseal
from kvnode.types import ReplicaId

if TYPE_CHECKING:
    from kvnode.storage.disk.layout import Transaction

FORMAT: Final = 1

MAP_BYTES: Final = 1 << 30
"""A GiB of address space: all registers that can be take 12 MiB, a few times over."""

_FORMAT_ROW: Final = b"format"
_HOME_ROW: Final = b"home"
_VOTER_ROW: Final = b"voter"
_STANDING: Final = "its standing"
_REGISTER: Final = "a register"
_U16 = Struct(">H")
_U64 = Struct(">Q")


class LmdbVoterStore:
    """See kvnode.authority.voter_port.VoterStore."""

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        environment: lmdb.Environment,
        random_voter: Callable[[], ReplicaId],
    ) -> None:
        """Take over an open environment; callers use `open`."""
        self._directory = directory
        self._lock = lock
        self._environment = environment
        with environment.begin(write=True) as txn:
            self._meta = environment.open_db(b"meta", txn)
            self._voters = environment.open_db(b"voters", txn)
            self._registers = environment.open_db(b"registers", txn)
            self._memory = self._read_or_found(txn, random_voter)
        sync_directory(directory)
        self._writer = DiskThread("kvnode-voter")

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        random_voter: Callable[[], ReplicaId],
        map_bytes: int = MAP_BYTES,
    ) -> "LmdbVoterStore":
        """
        Open the store in *directory*, which is made if need be; blocks.

        Args:
            directory: Of this process alone.
            random_voter: Draws an identity, 64 bits and not 0.
            map_bytes: How large the file may get.

        Raises:
            UnavailableError: Another process has it open.
            RejectedError: A later version wrote it.
            CorruptRecordError: A row is damaged.
            OSError: The files cannot be opened.
        """
        return open_alone(
            directory,
            lambda lock, environment: cls(directory, lock, environment, random_voter),
            map_bytes=map_bytes,
        )

    @property
    def memory(self) -> VoterMemory:
        """Return what is durable."""
        return self._memory

    async def persist(self, memory: VoterMemory) -> None:
        """Make *memory* durable in one transaction; see the port."""
        assert memory.voter == self._memory.voter, "an identity is for ever"
        assert not self._writer.is_at_work, "writes must not overlap"
        await self._writer.begin(self._write, memory).end()

    def close(self) -> None:
        """Release the files, after what is being written."""
        self._writer.close()
        self._environment.close()
        self._lock.release()

    # -- on the writer's thread -------------------------------------------------

    def _write(self, memory: VoterMemory) -> None:
        before = self._memory
        prefix = _U64.pack(memory.voter)
        try:
            with self._environment.begin(write=True) as txn:
                if memory[:-1] != before[:-1]:
                    txn.put(prefix, _standing_row(memory), db=self._voters)
                for name, state in memory.registers.items():
                    if before.registers.get(name) != state:
                        key = prefix + name.encode()
                        txn.put(key, seal(encode_state(state)), db=self._registers)
                for name in before.registers.keys() - memory.registers.keys():
                    txn.delete(prefix + name.encode(), db=self._registers)
            self._memory = memory
        except lmdb.Error as error:
            raise translated(error, self._directory) from error

    # -- while it is opened -------------------------------------------------------

    def _read_or_found(
        self, txn: "Transaction", random_voter: Callable[[], ReplicaId]
    ) -> VoterMemory:
        home = home_row(self._directory)
        form = txn.get(_FORMAT_ROW, None, self._meta)
        if form is not None:
            (number,) = _U16.unpack(unseal(form, "the format of the voter's memory"))
            if number != FORMAT:
                msg = (
                    f"the voter's memory in {self._directory} has format {number} and"
                    f" this version reads {FORMAT}: run the version that wrote it"
                )
                raise RejectedError(msg)
            if txn.get(_HOME_ROW, None, self._meta) == home:
                return self._read(txn)
        memory = VoterMemory(random_voter(), barred=form is not None)
        prefix = _U64.pack(memory.voter)
        txn.put(_FORMAT_ROW, seal(_U16.pack(FORMAT)), db=self._meta)
        txn.put(_HOME_ROW, home, db=self._meta)
        txn.put(_VOTER_ROW, seal(prefix), db=self._meta)
        txn.put(prefix, _standing_row(memory), db=self._voters)
        return memory

    def _read(self, txn: "Transaction") -> VoterMemory:
        voter = self._row(txn.get(_VOTER_ROW, None, self._meta), "its identity")
        row = self._row(txn.get(voter, None, self._voters), _STANDING)
        reader = FieldReader(row)
        try:
            (identity,) = _U64.unpack(voter)
            barred = bool(reader.number(2))
            pledge, electorate, successor = (
                reader.maybe(reader.electorate) for _ in range(3)
            )
            reader.end()
        except (IndexError, ValueError) as error:
            raise self._damaged(_STANDING) from error
        return VoterMemory(
            ReplicaId(identity),
            barred,
            pledge,
            electorate,
            successor,
            self._read_registers(txn, voter),
        )

    def _read_registers(
        self, txn: "Transaction", prefix: bytes
    ) -> Mapping[str, VoterState]:
        registers: dict[str, VoterState] = {}
        cursor = txn.cursor(self._registers)
        found = cursor.set_range(prefix)
        while found and cursor.key().startswith(prefix):
            try:
                name = cursor.key()[len(prefix) :].decode()
                reader = FieldReader(unseal(cursor.value(), f"register {name!r}"))
                registers[name] = reader.state()
                reader.end()
            except (IndexError, ValueError) as error:
                raise self._damaged(_REGISTER) from error
            found = cursor.next()
        return registers

    def _row(self, raw: bytes | None, subject: str) -> bytes:
        if raw is None:
            raise self._damaged(subject)
        return unseal(raw, f"of the voter's memory {subject}")

    def _damaged(self, subject: str) -> CorruptRecordError:
        return CorruptRecordError(
            f"{self._directory}: of the voter's memory {subject} is missing or damaged;"
            " it must not vote: delete the directory, and let the new voter replace"
            " the one that it was"
        )


def _standing_row(memory: VoterMemory) -> bytes:
    electorates = (memory.pledge, memory.electorate, memory.successor)
    parts = [encode_maybe(each, encode_electorate) for each in electorates]
    return seal(bytes((memory.barred,)) + b"".join(parts))
