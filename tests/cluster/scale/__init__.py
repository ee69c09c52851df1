"""Tests of the cluster package that start no process."""
