"""Tests of what readers of events share."""
