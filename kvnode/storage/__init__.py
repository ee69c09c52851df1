"""kvnode.storage."""
