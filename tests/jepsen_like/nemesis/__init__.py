"""Tests of jepsen_like.nemesis."""
