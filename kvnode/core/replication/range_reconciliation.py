"""
Range-based set reconciliation: which items do two stores not have in common?

Two nodes that should hold the same and do not (rule D9) find out where, at a
cost that goes with the number of differences and not of keys.  One sends the
fingerprints of 16 ranges, which are all its items together.  The other passes
over those that are equal at its side.  A range that differs it splits in turn, or
lists if there are few items in it; and so on, in turn.  Who receives a list knows
all of that range, and answers which of the items it does not have, a bit each.
In the end each side knows which of its items the other lacks.

How far to split follows from what is seen.  While nearly every range differs, the
differences are many, and small steps would only cost messages: a split into 64.
Else a split into 16, which narrows a range as much as four steps of a binary
search, for twice their bytes.  The last split leaves about LISTED_AVERAGE items to
a range.  So to find one key among a million takes four times 16 fingerprints, a
list of 15 items, and 15 bits.

The machine does no I/O.  Its work is in steps of a few milliseconds, like the
scan that makes the index of items (kvnode.core.replication.entry_scan).

Nothing is claimed by a session: entries go to the other side afterwards, and are
merged there.  So the two indexes need not be of the same moment; a write that
only one of them has seen is found as a difference and sent for nothing.

A peer is not trusted to come to an end: ranges only get narrower, so steps are
bounded; each message but the last of a step must be full; and a session takes in
no more bytes than a correct peer can have to say to an index of this size.

References:
    Meyer, 2023.  Range-Based Set Reconciliation.  SRDS 2023.
"""

from array import array
from dataclasses import dataclass, field

from kvnode.core.replication.entry_scan import Steps, finished
from kvnode.core.replication.item_index import POSITION_BITS, ItemIndex
from kvnode.core.replication.range_message import (
    BITS_MAX,
    GROUP_BYTES_MAX,
    LISTED_MAX,
    MESSAGE_BYTES_MAX,
    SHORT_BYTES,
    STEPS_MAX,
    Group,
    RangeMessage,
    pack,
    read_groups,
    short,
)
from kvnode.errors import PeerProtocolError

LISTED_AVERAGE = 4
"""Items left to a range by splits: one more would cost as much as listing these."""

LISTED_ALWAYS = 16
"""A range of so few items is listed: a step less, for a few bytes more."""

LISTED_OF_MANY = 32
"""Listed where nearly all ranges differ: their parts would differ as well."""

LISTED_BYTES_CHEAP = 512
"""If all that is left can be listed in so little, another step is not worth it."""

BITS_USUAL = 4
BITS_LEAST = 2

RECEIVED_BYTES_BASE = 2 * 1024 * 1024
RECEIVED_BYTES_PER_ITEM = 32
"""
Of a correct peer about as large as we, at most 8 bytes for each of our items: one
listed, and fingerprints of the ranges around it.  The rest is for a peer that has
ten times as many items where nothing is the same; there is more to lose by ending
that session than by a peer that makes us hold so much for a while.
"""

COMPARED_PER_STEP = 1000
"""Ranges compared before other work gets its turn: about 3 ms."""

ANSWERS_PER_STEP = 16_384
"""A multiple of 8; as long."""

_DIGITS = bytes.maketrans(b"\0\1", b"01")


@dataclass(frozen=True, slots=True)
class _Named:
    """The ranges that a side named: the parts of *parents*, 2^*bits* of each."""

    parents: "array[int]"
    depth: int  # of the parts
    bits: int

    def __len__(self) -> int:
        return len(self.parents) << self.bits

    def prefix(self, number: int) -> int:
        """Return the prefix of part *number*."""
        part = number & (1 << self.bits) - 1
        return self.parents[number >> self.bits] << self.bits | part


@dataclass(slots=True)
class _Heard:
    """What the peer has said so far in the step that it is at."""

    bits: int
    passed: int = 0  # ranges we named that it has dealt with
    split: "array[int]" = field(default_factory=lambda: array("Q"))
    differing: "array[int]" = field(default_factory=lambda: array("Q"))
    absent: bytearray = field(default_factory=bytearray)  # 1 or 0 for each it listed
    answers: bytearray = field(default_factory=bytearray)


class RangeSession:
    """
    One side of a session.

    The side that begins sends what `begin` returns; both hand what arrives to
    `receive` and send what that returns, in order, until `finished`.

    Attributes:
        lacked: Slots of own items that the peer lacks, as far as is known; all of
            them once `finished`.
        finished: Nothing is left to be said or heard.
    """

    def __init__(self, index: ItemIndex) -> None:
        self.lacked: array[int] = array("Q")
        self.finished = False
        self._index = index
        self._salt = 0
        self._step_due = 0
        self._named = _Named(array("Q", (0,)), depth=0, bits=0)  # all there is
        self._listed: array[int] = array("Q")  # slots, as listed in our last step
        self._heard: _Heard | None = None
        self._received_bytes = 0

    def begin(self, salt: int) -> list[RangeMessage]:
        """
        Return the first step's messages.

        Args:
            salt: 64 random bits, odd, of this session alone: what two different
                ranges have in common by chance differs from salt to salt.
        """
        assert self._step_due == 0, "a session begins once"
        assert salt % 2 == 1, "an even salt maps different numbers to one"
        self._salt = salt
        self._step_due = 1
        groups = finished(self._describe(array("Q", (0,)), self._named))
        return pack(0, salt, self._named.bits, b"", groups)

    def receive(self, message: RangeMessage) -> Steps[list[RangeMessage]]:
        """
        Take in *message*, in steps; return what is to be sent then.

        That is nothing until the last message of a step.  One message at a time:
        the steps of one must have ended before the next is handed over.

        Raises:
            PeerProtocolError: No correct peer sends this.  The session is over.
        """
        heard = self._admit(message)
        compared = 0
        for group in read_groups(message):
            compared += self._compare(group, heard)
            if compared >= COMPARED_PER_STEP:
                yield
                compared = 0
        if not message.last:
            return []
        yield from self._take_answers(heard)
        self._heard = None
        self._step_due += 2
        if heard.passed == 0:
            self.finished = True
            return []
        return (yield from self._speak(message.step + 1, heard))

    def _admit(self, message: RangeMessage) -> _Heard:
        """Check *message* against what may come now."""
        if self.finished or message.step != self._step_due:
            due = "none" if self.finished else self._step_due
            msg = f"range step {message.step} came, {due} was due"
            raise PeerProtocolError(msg)
        size = message.size_bytes
        self._received_bytes += size
        received_max = RECEIVED_BYTES_BASE + RECEIVED_BYTES_PER_ITEM * len(self._index)
        if self._received_bytes > received_max:
            msg = f"a range session of more than {received_max} bytes"
            raise PeerProtocolError(msg)
        if not message.last and size < MESSAGE_BYTES_MAX - GROUP_BYTES_MAX - 64:
            msg = f"a range message of {size} bytes is not its step's last"
            raise PeerProtocolError(msg)
        if message.step == 0 and self._heard is None:
            self._salt = message.salt
        if self._heard is None:
            self._heard = _Heard(message.bits)
        depth = self._named.depth + message.bits
        if message.bits != self._heard.bits or depth > POSITION_BITS:
            msg = f"range step {message.step} splits by {message.bits} bits at {depth}"
            raise PeerProtocolError(msg)
        self._heard.answers += message.answers
        if len(self._heard.answers) * 8 > len(self._listed) + 7:
            msg = f"answers to more than the {len(self._listed)} items listed"
            raise PeerProtocolError(msg)
        return self._heard

    def _compare(self, group: Group, heard: _Heard) -> int:
        """Compare what the peer says of one range; return how much work it was."""
        number = heard.passed + group.gap
        if number >= len(self._named):
            msg = f"range {number} of {len(self._named)} is spoken of"
            raise PeerProtocolError(msg)
        heard.passed = number + 1
        prefix = self._named.prefix(number)
        parts = [
            group.shorts[at : at + SHORT_BYTES]
            for at in range(0, len(group.shorts), SHORT_BYTES)
        ]
        if group.listed:
            return self._compare_list(prefix, parts, heard)
        first = len(heard.split) << heard.bits
        heard.split.append(prefix)
        sums = self._index.sums(prefix, self._named.depth, heard.bits)
        salt = self._salt
        for at, (own, theirs) in enumerate(zip(sums, parts, strict=True), first):
            if short(own, salt) != theirs:
                heard.differing.append(at)
        return len(parts)

    def _compare_list(self, prefix: int, theirs: list[bytes], heard: _Heard) -> int:
        slots = self._index.slots(prefix, self._named.depth)
        own = [short(self._index.fingerprint_at(slot), self._salt) for slot in slots]
        here, there = set(own), set(theirs)
        heard.absent.extend(each not in here for each in theirs)
        self.lacked.extend(
            slot for slot, each in zip(slots, own, strict=True) if each not in there
        )
        return len(own) + len(theirs) + 1

    def _take_answers(self, heard: _Heard) -> Steps[None]:
        answers, listed = heard.answers, self._listed
        if len(answers) != (len(listed) + 7) // 8:
            msg = f"{len(answers)} bytes answer to {len(listed)} items"
            raise PeerProtocolError(msg)
        for first in range(0, len(listed), ANSWERS_PER_STEP):
            few = range(first, min(first + ANSWERS_PER_STEP, len(listed)))
            self.lacked.extend(
                listed[at] for at in few if answers[at >> 3] >> (at & 7) & 1
            )
            yield

    def _speak(self, step: int, heard: _Heard) -> Steps[list[RangeMessage]]:
        """Return in steps the messages of our *step*: answers, splits and lists."""
        assert step <= STEPS_MAX, "ranges get narrower with every step"
        theirs = _Named(heard.split, self._named.depth + heard.bits, heard.bits)
        groups = yield from self._describe(heard.differing, theirs)
        self.finished = not groups
        answers = _bitmap(heard.absent)
        return pack(step, self._salt, self._named.bits, answers, groups)

    def _describe(self, numbers: "array[int]", theirs: _Named) -> Steps[list[bytes]]:
        """
        Return in steps a group for each range that differs; note what we name.

        Args:
            numbers: Of the ranges, ascending.
            theirs: What the peer named.
        """
        held: list[range] = []
        for number in numbers:
            held.append(self._index.slots(theirs.prefix(number), theirs.depth))
            if len(held) % COMPARED_PER_STEP == 0:
                yield
        many = len(theirs) > 1 and len(numbers) * 8 > len(theirs) * 7
        sizes = [len(slots) for slots in held]
        listed_max, bits = _plan(sizes, theirs.depth, many=many)
        self._named = _Named(array("Q"), theirs.depth + bits, bits)
        self._listed = array("Q")
        groups: list[bytes] = []
        following = said = 0
        for number, slots in zip(numbers, held, strict=True):
            if len(slots) <= listed_max or theirs.depth == POSITION_BITS:
                listed, shorts = True, self._list(slots)
            else:
                listed, shorts = False, self._split(theirs.prefix(number), theirs.depth)
            groups.append(Group(number - following, listed, shorts).encode())
            following = number + 1
            said += len(shorts) // SHORT_BYTES + 1
            if said >= COMPARED_PER_STEP:
                yield
                said = 0
        return groups

    def _list(self, slots: range) -> bytes:
        # More at one position than LISTED_MAX is somebody's hard work, and what is
        # not listed of it is taken to be lacking here.
        chosen = slots[:LISTED_MAX]
        self._listed.extend(chosen)
        return b"".join(
            short(self._index.fingerprint_at(slot), self._salt) for slot in chosen
        )

    def _split(self, prefix: int, depth: int) -> bytes:
        self._named.parents.append(prefix)
        sums = self._index.sums(prefix, depth, self._named.bits)
        return b"".join(short(each, self._salt) for each in sums)


def _plan(sizes: list[int], depth: int, *, many: bool) -> tuple[int, int]:
    """
    Return up to what size ranges are listed, and by how many bits others are split.

    Args:
        sizes: How many own items there are in each range that differs.
        depth: Bits of the ranges' prefixes.
        many: Whether nearly all ranges differ that could.
    """
    listed_max = LISTED_OF_MANY if many else LISTED_ALWAYS
    if sum(sizes) * SHORT_BYTES <= LISTED_BYTES_CHEAP:
        listed_max = LISTED_MAX
    large = [size for size in sizes if size > listed_max]
    if not large or depth == POSITION_BITS:
        return listed_max, 0
    parts = sum(large) // len(large) // LISTED_AVERAGE
    bits = min(parts.bit_length() - 1, BITS_MAX if many else BITS_USUAL)
    return listed_max, min(max(bits, BITS_LEAST), POSITION_BITS - depth)


def _bitmap(bits: bytearray) -> bytes:
    """Return *bits*, each 1 or 0, as bytes, the low bits of each first."""
    digits = bits[::-1].translate(_DIGITS)
    return int(digits or b"0", 2).to_bytes((len(bits) + 7) // 8, "little")
