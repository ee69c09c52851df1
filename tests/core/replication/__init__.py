"""Tests of kvnode.core.replication."""
