"""Tests of the fault proxy, in one process."""
