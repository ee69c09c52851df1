"""
Messages over plain TCP, where gRPC's changes of thread are most of the wait.

Nodes that keep objects use it between them (kvnode.transport.direct_road), and the
client library for its calls of objects (kvnode.client.direct_calls).
"""
