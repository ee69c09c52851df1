"""kvnode.core.clocks."""
