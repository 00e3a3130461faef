"""What strangers, and parties that misbehave, can cost over HTTP and TLS, bounded.

- `accepting`: connections before their peer is known, and handshakes in one pass of the event loop.
- `server`: heads, idle connections, slow senders and slow readers, connections of one party and of all.
- `pools`: connections to other parties, their age, and how many wait for one.
- `turns`: how many requests of one sender start in one pass, so that others are not delayed.
- `in_flight`: requests under way for each caller.

What an answer, a body or a file may have is bounded where it is read (`zerotrust.limits`).
"""
