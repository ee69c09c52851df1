"""For all tests: none fails because the machine was busy."""

from hypothesis import settings

settings.register_profile("kvnode", deadline=None)
settings.load_profile("kvnode")
