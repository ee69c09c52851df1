"""The limits that a caller of objects can meet, with where the numbers come from."""

from typing import Final

CALL_BYTES_MAX: Final = 1024 * 1024
"""One call, all in: eight of the largest values that an object can store."""

ARGUMENTS_MAX: Final = 256  # of a call: more than any method that people write has
