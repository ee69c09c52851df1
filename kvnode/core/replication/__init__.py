"""kvnode.core.replication."""
