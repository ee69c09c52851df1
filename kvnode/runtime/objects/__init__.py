"""
The objects of a node as a part of its process.

They live beside the KV store in a directory of their own and have their own turns.  A
node has all shards to itself, or keeps them together with others; either way any node
takes calls and knows where they go.
"""
