"""Being told to end, in whatever way, as Ctrl-C tells it: commands then clear up."""

import signal

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""By Ctrl-C, by whoever supervises the program, and with its terminal."""


def end_as_by_ctrl_c() -> None:
    """
    Raise KeyboardInterrupt at each of `ENDINGS`.

    But for those that whoever started the program lets it ignore, as `nohup` does.
    """
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def let_nothing_disturb() -> None:
    """Ignore all `ENDINGS` from now on: the program is ending."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
