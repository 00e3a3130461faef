"""Load on the real system, and checks of its answers.

Actors: `users`, who do what is in `stories`; `sessions`, which are revoked one by one; and `attacks`, which an
`attacker` makes in its own process.  `faults` kill and pause processes, and break connections (`relay`).  `judge`
checks that revoked calls are refused in time; `watch` measures the resources of the processes.

Programs: `soak`, of two parts, `under_load` and `under_faults`; `crowding`; `revocation_delay`; `activation_delay`.
"""
