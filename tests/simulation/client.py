"""
A client with a session, which it carries from site to site.

It does what the API does with tokens (rules S1, S2, D3): it is refused where its
token is not covered, sends the token along with its writes, and takes from every
reply what the reply shows.
"""

from dataclasses import dataclass, field

from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.node.commands import (
    LOCAL,
    Applied,
    Command,
    ConditionFailed,
    Replicas,
    WriteRequest,
)
from kvnode.core.node.events import Reply
from kvnode.core.versions.session import NEW_SESSION, Session
from kvnode.core.versions.version import Entry
from kvnode.types import EntryKey
from tests.simulation.oracle import Knowledge, Oracle, held_by
from tests.simulation.practice import TokenAfterWrite, token_after_write
from tests.simulation.site import Site


@dataclass(slots=True)
class Client:
    """One session; does one thing at a time."""

    oracle: Oracle
    token_after_write: TokenAfterWrite = token_after_write
    session: Session = NEW_SESSION
    knowledge: Knowledge = field(default_factory=dict)
    waits_at: Site | None = None
    _request: WriteRequest | None = None
    _covered: VersionVector = field(default_factory=VersionVector)
    _pending: VersionVector = field(default_factory=VersionVector)

    def may_use(self, site: Site) -> bool:
        """Tell whether *site* would serve this session now (S2)."""
        if not site.serves:
            return False
        return self.waits_at is None and site.clock.covers_all(self.session.seen)

    def read(self, site: Site, key: EntryKey) -> None:
        """Read one key."""
        with site.store.snapshot() as view:
            entry = view.entry(key)
        self.oracle.check_read(self.knowledge, key, entry)
        if entry is not None:
            self.session = self.session.saw_entry(
                entry, covered=site.clock, pending=site.pending
            )

    def list(self, site: Site) -> None:
        """
        Read all keys, as the API lists them.

        A list is one read: an uncovered entry in it may be shown without its
        causes, which the next read is not served without (D3).
        """
        session = self.session.saw_all_of(site.clock)
        with site.store.snapshot() as view:
            held = dict(held_by(view))
        for key, known in self.knowledge.items():
            self.oracle.check_shown(known, key, held.get(key))
        for key, entry in held.items():
            self.oracle.learn_read(self.knowledge, key, entry)
            if not site.clock.covers_all(entry.version.index_dots):
                session = session.saw_entry(
                    entry, covered=site.clock, pending=site.pending
                )
        self.session = session

    def write(
        self,
        site: Site,
        number: int,
        commands: tuple[Command, ...],
        replicas: Replicas = LOCAL,
    ) -> None:
        """Queue *commands* at *site*."""
        self.waits_at = site
        self._request = WriteRequest(number, commands, self.session, replicas)
        self._covered, self._pending = site.clock, site.pending
        site.inbox.append(self._request)

    def note_accepted(self, reply: Reply) -> None:
        """Let the oracle know of what the site has made durable for us."""
        assert self._request is not None, "a reply answers a request"
        knowledge = dict(self.knowledge)
        own = self._own_replica()
        for command, outcome in zip(
            self._request.commands, reply.outcomes, strict=True
        ):
            if isinstance(outcome, Applied):
                entry = outcome.entry
                if entry.version.dot.replica == own:
                    seen = self._request.session.seen
                    self.oracle.accepted(command.key, entry, seen, knowledge)
                self.oracle.learn(knowledge, command.key, entry)

    def _own_replica(self) -> int:
        assert self.waits_at is not None, "a reply comes from a site"
        return self.waits_at.replica

    def answered(self, reply: Reply | None) -> None:
        """
        Take in the reply; None = the request has not happened.

        A request is one read, like a list: judged by what was known before it.
        """
        assert self._request is not None, "a reply answers a request"
        before = dict(self.knowledge)
        for command, outcome in zip(
            self._request.commands, reply.outcomes if reply else (), strict=False
        ):
            match outcome:
                case Applied(entry):
                    self._shown(before, command.key, entry)
                    self.session = self.token_after_write(
                        self.session, entry, self._covered, self._pending
                    )
                case ConditionFailed(entry) if entry is not None:
                    self._shown(before, command.key, entry)
                    self.session = self.session.saw_entry(
                        entry, covered=self._covered, pending=self._pending
                    )
                case _:
                    pass
        self.gave_up()

    def _shown(self, before: Knowledge, key: EntryKey, entry: Entry) -> None:
        if key in before:
            self.oracle.check_shown(before[key], key, entry)
        self.oracle.learn(before, key, entry)
        self.oracle.learn_read(self.knowledge, key, entry)

    def gave_up(self) -> None:
        """Nobody will answer: the site has crashed."""
        self.waits_at, self._request = None, None
