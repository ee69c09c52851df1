"""kvnode.client."""
