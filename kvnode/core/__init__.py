"""kvnode.core."""
