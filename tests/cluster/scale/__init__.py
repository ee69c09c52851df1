"""Tests of cluster.scale: the fit, and the arithmetic for many nodes."""
