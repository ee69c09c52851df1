"""kvnode.core.versions."""
