"""Room for requests: taken, given back, and never waited for."""

from contextlib import suppress

import pytest

from kvnode.errors import OverloadedError
from kvnode.http.admission import Admission


def test_bodies_are_counted_by_their_bytes() -> None:
    """Few large ones fill the room like many small ones."""
    admission = Admission(requests_max=10, bytes_max=100)
    with admission.admitted(60):
        with pytest.raises(OverloadedError, match="100 bytes"), admission.admitted(41):
            pass
        with admission.admitted(40):
            pass
    with admission.admitted(100):
        pass


def test_requests_are_counted() -> None:
    """Also those without a body; who fails gives its room back."""
    admission = Admission(requests_max=1, bytes_max=100)
    with suppress(LookupError), admission.admitted(0):
        with pytest.raises(OverloadedError, match="1 requests"), admission.admitted(0):
            pass
        raise LookupError
    with admission.admitted(0):
        pass
