"""
When to try again, as one pure function; nothing else in the client decides it.

A write is repeated only after an error which says that it did not happen, so the
library never applies anything twice.  A read does no harm twice, and neither does a
call of an object's method with an idempotency key: the node sees to that.

    failure                        read       write      call with a key
    ------------------------------ ---------- ---------- ---------------
    any, under 20 ms left          give up    give up    give up
    RejectedError                  give up    give up    give up
    ObjectRaisedError              give up    give up    give up
    DeadlineError                  give up    give up    give up
    ConnectionLostError            again      give up    again
    other IndeterminateError       give up    give up    again
    StoreFullError, some endpoint  again      again      again
      untried
    StoreFullError, all tried      give up    give up    give up
    NotCoveredError, the same      as above   as above   as above
    ObjectEndedError               give up    give up    give up
    other UnavailableError         again      again      again
    any other                      give up    give up    give up

A call that another node must answer (NotLeaderError) goes on to the next endpoint.

An attempt that has hardly any time would turn the reason of the one before it, and
the certainty that nothing happened, into a DeadlineError; so none is begun.

An object that its own code has ended (ObjectEndedError) would as likely end itself
again, having done nothing each time: only the caller knows whether it is worth it.

A node that answers NotCoveredError has waited for nearly all of the time there was
(S2); asking it again would only turn its reason into a DeadlineError.

"Again" is at once while some endpoint has not been tried, and after a pause from
then on.  Pauses grow with powers of two and are jittered over their whole length
("full jitter"), because callers that failed together would otherwise come back
together.

References:
    Brooker, 2015.  Exponential Backoff and Jitter.  AWS Architecture Blog.
"""

from enum import Enum

from kvnode.errors import (
    ConnectionLostError,
    DeadlineError,
    IndeterminateError,
    KvError,
    NotCoveredError,
    ObjectEndedError,
    StoreFullError,
    UnavailableError,
)

ATTEMPT_SECONDS_MIN = 0.02
"""What an attempt needs at least; less is no more than a busy machine's hiccup."""

PAUSE_SECONDS_FIRST = 0.02  # ten round trips within a site
PAUSE_SECONDS_MAX = 1.0  # a node that restarts is noticed this late at worst
_DOUBLINGS_MAX = 16  # past it the maximum holds anyhow; keeps 2**n small


class Decision(Enum):
    """What to do after a failed attempt."""

    GIVE_UP = "raise the failure"
    AT_ONCE = "try the next endpoint now"
    AFTER_PAUSE = "try the next endpoint after a pause"


def decide(  # noqa: PLR0913 -- each is named at the call
    failure: KvError,
    *,
    writes: bool,
    attempts: int,
    endpoint_count: int,
    remaining: float,
    repeatable: bool = False,
) -> Decision:
    """
    Return what to do after *failure*; the module's table is the rule.

    Args:
        failure: What the last attempt raised.
        writes: Whether the operation changes anything.
        attempts: Made so far, this one included, >= 1.
        endpoint_count: >= 1.
        remaining: Seconds until the caller's deadline; may be negative.
        repeatable: Whether it does no harm twice, even if the first has happened.
    """
    assert attempts >= 1, "a failure follows an attempt"
    assert endpoint_count >= 1, "a client has an endpoint"
    if remaining < ATTEMPT_SECONDS_MIN:
        return Decision.GIVE_UP
    untried = attempts < endpoint_count
    match failure:
        case StoreFullError() | NotCoveredError() if not untried:
            return Decision.GIVE_UP
        case _ if is_harmless(failure, writes=writes, repeatable=repeatable):
            return Decision.AT_ONCE if untried else Decision.AFTER_PAUSE
        case _:
            return Decision.GIVE_UP


def is_harmless(failure: KvError, *, writes: bool, repeatable: bool) -> bool:
    """Tell whether another attempt may help, and cannot make it happen twice."""
    match failure:
        case ObjectEndedError() | DeadlineError():
            return False
        case UnavailableError():
            return True
        case ConnectionLostError():
            return repeatable or not writes
        case _:
            return repeatable and isinstance(failure, IndeterminateError)


def pause_seconds(failures: int, chance: float) -> float:
    """
    Return how long to wait after *failures* in a row.

    Args:
        failures: >= 1.
        chance: Uniform in [0, 1); the caller draws it.

    Returns:
        Seconds in [0, min(0.02 * 2**(failures - 1), 1)).
    """
    assert failures >= 1, "a pause follows a failure"
    doublings = min(failures - 1, _DOUBLINGS_MAX)
    return float(chance * min(PAUSE_SECONDS_FIRST * 2**doublings, PAUSE_SECONDS_MAX))
