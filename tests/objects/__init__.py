"""Tests of kvnode.objects."""
