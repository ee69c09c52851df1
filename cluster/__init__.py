"""The cluster package: local clusters for people and for tests."""
