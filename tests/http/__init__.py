"""Tests of kvnode.http."""
