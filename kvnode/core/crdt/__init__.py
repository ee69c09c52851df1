"""CRDT values: counter, set and document, behind one pair of functions."""
