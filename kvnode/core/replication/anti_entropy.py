"""
Anti-entropy: one fingerprint for all that a report would say (rule D8).

Two nodes that cover the same, hold the same beyond, have the same roster and have
forgotten the same tell each other 8 bytes and are done, whatever the number of keys
and members.  Of nodes in different states the fingerprints differ, but for one chance
in 2**64, and then reports follow.

Reference:
    Demers et al., 1987.  Epidemic algorithms, section 1.3: checksums first.
"""

from hashlib import blake2b
from struct import Struct

from kvnode.core.clocks.clock_codec import encode_clock
from kvnode.core.clocks.version_vector import VersionVector
from kvnode.core.versions.floor import Floor

_SCALARS = Struct(">QQI")


def view_digest(
    clock: VersionVector, held: VersionVector, roster: int, floor: Floor
) -> int:
    """Return the fingerprint of a node's view: 64 bits."""
    covered = encode_clock(clock)
    total = blake2b(_SCALARS.pack(roster, floor.hlc, len(covered)), digest_size=8)
    total.update(covered)
    total.update(encode_clock(held))
    total.update(encode_clock(floor.vector))
    return int.from_bytes(total.digest())
