"""
Objects in simulation: hosts of shards and of objects, voters, and what is around them.

What runs is what runs in a node: `ShardHost`, `ObjectHost`, `VoterHost` and
`EmbeddedAuthority`, on disks, clocks and a network that are simulated.
"""
