"""The commands that ask a node, or are one; one file a group."""
