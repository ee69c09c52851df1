"""
For all tests: none fails because the machine was busy.

Tests that go through thousands of schedules, histories or merges are marked
`no_cover`: tracing makes them almost three times slower, and small tests reach the same
lines.
"""

from hypothesis import settings

settings.register_profile("kvnode", deadline=None)
settings.load_profile("kvnode")
