"""The root of this library's exceptions."""


class ZeroTrustError(Exception):
    """Whatever this library raises on purpose; catch a subclass wherever you can do something about it."""
