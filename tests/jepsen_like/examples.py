"""How many examples properties try: HARNESS_EXAMPLES multiplies the default."""

import os


def examples(default: int) -> int:
    """Return *default*, or a multiple of it if the environment says so."""
    return default * int(os.environ.get("HARNESS_EXAMPLES", "1"))
