"""SDKs are installed with an extra of this package; where one is missing, the error says which extra has it."""

from collections.abc import Iterator
from contextlib import contextmanager

from zerotrust.errors import ZeroTrustError


class MissingExtra(ZeroTrustError, ImportError):
    """What is imported comes with an extra that is not installed; the text says which."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import in this block what the extra `name` installs.  Raises `MissingExtra`."""
    try:
        yield
    except ModuleNotFoundError as error:
        install = f"pip install '/path/to/this/repository[{name}]'"
        missing = f"{error.name} is not installed: it comes with the extra `{name}` ({install})"
        raise MissingExtra(missing, name=error.name) from error
