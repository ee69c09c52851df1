"""Tests of cluster.scale."""
