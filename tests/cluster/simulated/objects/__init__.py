"""Tests of simulated nodes that host objects."""
