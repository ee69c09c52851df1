"""The applied states of the shards on one node, and their ways to other nodes."""
