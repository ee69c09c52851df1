"""Tests of kvnode.transport."""
