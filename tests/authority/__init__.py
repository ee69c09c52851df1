"""Tests of kvnode.authority."""
