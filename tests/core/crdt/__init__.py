"""Tests of kvnode.core.crdt."""
