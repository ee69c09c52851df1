"""Tests of kvnode.core.node."""
