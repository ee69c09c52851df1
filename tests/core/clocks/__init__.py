"""Tests of kvnode.core.clocks."""
