"""Bounds the cost of strangers, and of parties that misbehave, over HTTP and TLS.

- `accepting`: connections before their peer is known, and handshakes in one pass of the event loop.
- `server`: heads, idle connections, slow senders and slow readers, connections of one party and of all.
- `pools`: connections to other parties, their age, and how many wait for one.
- `turns`: how many requests of one sender start in one pass, so that others are not delayed.
- `in_flight`: requests under way for each caller.

`zerotrust.limits` bounds the size of an answer, a body or a file, where it is read.
"""
