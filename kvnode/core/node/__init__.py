"""kvnode.core.node."""
