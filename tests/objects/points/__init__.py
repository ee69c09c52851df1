"""Tests of kvnode.objects.points."""
