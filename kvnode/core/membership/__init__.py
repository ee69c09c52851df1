"""kvnode.core.membership."""
