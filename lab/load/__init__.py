"""Load on the real system, and a judge of what it answers.

Actors: `users`, with what they do in `stories`; `sessions`, which are revoked one by one; and `attacks`, carried out by
an `attacker` in a process of its own.  `faults` kill and pause processes, and cut wires (`relay`).  `judge` holds every
answer to the one rule; `watch` looks at what the processes hold.

Programs: `soak`, of two parts, `under_load` and `under_faults`; `crowding`; `revocation_delay`.
"""
