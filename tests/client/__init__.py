"""The client library, against a fake node."""
