"""Messages between explored replicas: which are one, and which are over."""

from kvnode.core.objects.configuration import Configuration
from kvnode.core.objects.events import AuthoritySaid, Suspected
from kvnode.core.objects.messages import Append, Pull, Refused, Seal, Sealed
from kvnode.core.objects.quorum_log import ORIGIN, LogEntry
from kvnode.types import Millis, ReplicaId
from tests.simulation.explored_mail import Letters
from tests.simulation.explored_replicas import Replicas, mail, receipt

A, B = ReplicaId(1), ReplicaId(2)


def test_messages_of_two_kinds_with_the_same_content_are_two() -> None:
    """Tuples are equal whatever their names are; taken for one, each would be lost."""
    letters = Letters(Replicas(reads=False), size=2)

    asked, answered = (mail(A, B, kind(3, ORIGIN)) for kind in (Pull, Sealed))

    assert letters.bit(asked) != letters.bit(answered)
    assert letters.bit(asked) == letters.bit(mail(A, B, Pull(3, ORIGIN)))


def test_turns_of_two_kinds_with_the_same_content_are_two() -> None:
    """A replica answers who pulls, and is not interested in who is sealed."""
    replicas = Replicas(reads=False)
    number = replicas.turn(replicas.begin(B), receipt(mail(A, B, Seal(3)))).after

    sealed = replicas.turn(number, receipt(mail(A, B, Sealed(3, ORIGIN))))
    pulled = replicas.turn(number, receipt(mail(A, B, Pull(3, ORIGIN))))

    assert sealed.is_idle
    assert not pulled.is_idle


def test_refused_requests_are_one_and_what_is_over_goes() -> None:
    """All that is left of them is that their sender can be refused."""
    replicas = Replicas(reads=False)
    letters = Letters(replicas, size=2)
    number = replicas.turn(replicas.begin(B), receipt(mail(A, B, Seal(3)))).after
    append = Append(2, 1, ORIGIN, (LogEntry(2, b""),), 0, Millis(0))
    old = letters.bit(mail(A, B, Seal(2))) | letters.bit(mail(A, B, append))
    over = letters.bit(mail(A, B, Sealed(2, ORIGIN)))
    told = letters.bit(mail(A, B, Refused(0, 3)))
    new = letters.bit(mail(A, B, Seal(4)))

    kept = letters.worth_keeping(number, None, old | over | told | new)

    assert kept == letters.bit(mail(A, B, Seal(0))) | new


def test_request_that_the_disk_has_not_promised_to_refuse_stays() -> None:
    """A crash would take the promise back, which nobody was told of."""
    replicas = Replicas(reads=False)
    letters = Letters(replicas, size=2)
    disk = replicas.begin(B)
    number = replicas.turn(disk, receipt(mail(A, B, Seal(3)))).after
    old = letters.bit(mail(A, B, Seal(2)))

    assert letters.worth_keeping(number, disk, old) == old


def taking_over(replicas: Replicas) -> int:
    """Return the state of A once it has begun to take over in epoch 2."""
    number = replicas.begin(A)
    held = Configuration(1, A, (A, B))
    for event in (
        Suspected(),
        AuthoritySaid(held),
        AuthoritySaid(held.taken_over_by(A)),
    ):
        number = replicas.turn(number, event).after
    return number


def test_what_changes_nobody_is_answered_as_soon_as_it_is_under_way() -> None:
    """A promise is said again; to give it for the first time changes the replica."""
    replicas = Replicas(reads=False)
    letters = Letters(replicas, size=2)
    one, new = taking_over(replicas), replicas.begin(B)
    seal = mail(A, B, Seal(2))
    promised = replicas.turn(new, receipt(seal)).after
    inbound = 0, letters.bit(seal)

    again = letters.exchanged((one, promised), inbound, None, {1})
    first = letters.exchanged((one, new), inbound, None, {1})
    stopped = letters.exchanged((one, promised), inbound, (1, promised), {1})

    assert again == (letters.bit(mail(B, A, Sealed(2, ORIGIN))), inbound[1])
    assert first == inbound
    assert stopped == inbound
    assert letters.arrivals(promised, inbound[1]) == ()


def test_promise_that_makes_no_majority_is_heard_with_the_one_that_does() -> None:
    """Whoever gave it: what comes of it is the same, and is looked at once."""
    replicas = Replicas(reads=False)
    letters = Letters(replicas, size=2)
    number = taking_over(replicas)
    sealed = [mail(own, A, Sealed(2, ORIGIN)) for own in (A, B)]
    first = replicas.turn(number, receipt(sealed[0]))
    one, other = map(letters.bit, sealed)

    (arrival,) = letters.arrivals(number, one | other)

    assert replicas.is_quiet(number, first)
    assert letters.arrivals(number, one) == ()
    assert replicas.minds[arrival.turn.after].leadership is not None
    assert letters.turns(number, one, AuthoritySaid(None), 0) == ()
    assert letters.knowing_all(number, one) == first.after


def test_turn_that_others_hear_or_that_rules_see_is_not_quiet() -> None:
    """Neither to promise, nor to become a leader, nor to do nothing."""
    replicas = Replicas(reads=False)
    new, number = replicas.begin(B), taking_over(replicas)
    promised = replicas.turn(new, receipt(mail(A, B, Seal(2))))
    refused = replicas.turn(number, receipt(mail(B, A, Refused(0, 3))))
    unheard = replicas.turn(new, receipt(mail(A, B, Sealed(2, ORIGIN))))

    assert not replicas.is_quiet(new, promised)
    assert not replicas.is_quiet(number, refused)
    assert not replicas.is_quiet(new, unheard)
