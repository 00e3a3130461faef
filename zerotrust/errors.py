"""The root of this library's exceptions."""


class ZeroTrustError(Exception):
    """The base class of every exception that this library raises on purpose; catch the subclass that you can handle."""
