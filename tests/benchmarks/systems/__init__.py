"""The stores that are measured: how to start one, and how to talk to it."""
