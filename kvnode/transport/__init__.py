"""kvnode.transport."""
