"""Tests of kvnode.core."""
