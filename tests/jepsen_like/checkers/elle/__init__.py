"""Tests of the transactional checkers."""
