"""
The voters of the embedded authority: who they are, and what they do when asked.

A voter that has lost its memory must never answer as if it were the old one: it would
have forgotten promises, and a majority with it might lack what was chosen.  So a voter
is not a name but an identity, drawn with its disk; those who vote are a set of
identities, the *electorate*; and every vote is cast in a *view* of it.

    founding     all those named are fresh, pledge the same electorate, and found it
    vote         CASPaxos among the members of the view, of which nothing leaves it
    succession   the next electorate is chosen in a register of the present view; the
                 view is sealed at a majority; what that holds goes to the next one

What one voter holds is `memory`, what it is to do of its own accord `duty`.  Who asks
drives a `bid` or a `succession`.  All of it is values; kvnode.authority gives them
messages, disks and time.

References:
    Rystsov, 2018.  CASPaxos: replicated state machines without logs.
    Lamport, Malkhi & Zhou, 2010.  Reconfiguring a state machine.
    Michael, Ports, Sharma & Szekeres, 2017.  Recovering shared objects without stable
        storage.
"""
