"""kvnode.runtime."""
