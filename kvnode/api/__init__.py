"""kvnode.api."""
