"""Tests of kvnode.transport.shards."""
