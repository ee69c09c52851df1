"""What the store promises, shown on three processes and measured."""

from cluster.demo.command import command

__all__ = ["command"]
