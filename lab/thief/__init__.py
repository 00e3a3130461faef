"""A thief of tokens, who uses them on request: the console's page "What these tokens can do" asks it.

It signs alice in by itself, gets the tokens of that session as intruders inside three workloads would, and listens on a
Unix socket.  No answer has a token.  Nothing of this runs without intruders (`make up INTRUDERS=1`).
"""
