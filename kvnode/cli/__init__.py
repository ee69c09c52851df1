"""kvnode.cli."""
