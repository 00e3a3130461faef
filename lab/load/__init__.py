"""Load on the real system, and checks of its answers.

Actors: `users`, who do what is in `stories`, and `sessions`, which are revoked one by one.  `faults` kill and pause
processes, and break connections (`relay`).  `judge` checks that revoked calls are refused in time; `watch` measures the
resources of the processes.

Programs: `soak`, of two parts, `under_load` and `under_faults`; `revocation_delay`.
"""
