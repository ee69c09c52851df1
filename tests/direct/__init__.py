"""Tests of kvnode.direct."""
