"""Being told to end, in whatever way, as Ctrl-C tells it: commands then clear up."""

import signal
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""By Ctrl-C, by whoever supervises the program, and with its terminal."""


def end_as_by_ctrl_c() -> None:
    """
    Do at each of `ENDINGS` what is done at SIGINT, which is to raise KeyboardInterrupt.

    But for those that whoever started the program lets it ignore, as `nohup` does.
    """
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
            if number != signal.SIGINT:
                signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """
    Do what is done at SIGINT just now.

    While asyncio runs something it cancels that.  An exception that is raised here, in
    the midst of whatever runs, is lost if that is a callback of C code, as gRPC's are.
    """
    del number
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        handler = signal.default_int_handler
    handler(signal.SIGINT, frame)


def let_nothing_disturb() -> None:
    """Ignore all `ENDINGS` from now on: the program is ending."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
