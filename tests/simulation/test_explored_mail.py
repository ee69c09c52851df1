"""Messages between explored replicas: which are one, and which are over."""

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


def test_what_changes_nobody_is_answered_as_soon_as_it_is_under_way() -> None:
    """A promise is said again; to be sealed for the first time changes the replica."""
    replicas = Replicas(reads=False)
    letters = Letters(replicas, size=2)
    leader, new = replicas.begin(A), replicas.begin(B)
    promised = replicas.turn(new, receipt(mail(A, B, Seal(3)))).after
    inbound = 0, letters.bit(mail(A, B, Pull(3, ORIGIN)))

    answered = letters.exchanged((leader, promised), inbound, None, {1})
    waiting = letters.exchanged((leader, new), inbound, None, {1})

    assert answered == inbound
    assert waiting == inbound
