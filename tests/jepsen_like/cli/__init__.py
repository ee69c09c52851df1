"""Tests of jepsen_like.cli."""
