"""Tests of the judge of linearizability."""
