"""
The way between nodes that serve objects: logs of shards, snapshots, and voters.

It is beside that of keys (kvnode.transport.peer_pool), on streams of its own, so that a
node that fetches a million keys does not take another for dead.
"""
