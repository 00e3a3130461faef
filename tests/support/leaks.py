"""What may be in no file, no log and no answer."""

import re

_TOKEN = re.compile(rb"eyJ[\w-]+\.[\w-]")


def holds_token(said: str | bytes) -> bool:
    """Return whether a JWT, or as much of one as has a dot, is in what was said.

    `eyJ` alone is no sign: once in a few thousand, it is in a random identifier, such as Keycloak's of a session.
    """
    return bool(_TOKEN.search(said if isinstance(said, bytes) else said.encode()))
