"""Nothing missed: whatever is killed, paused or cut off, no call is allowed later than the registry's bound says.

That is 3 s after its revocation was acknowledged, or after the source of such news has fallen silent; judged from
outside alone.
"""
