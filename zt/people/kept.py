"""Keeps a person's sign-in for the commands of 15 minutes, in a file that only this account may read.

Its refresh token is good with its key alone, and the file has both.  Its readers: docs/explain/limits.md.
"""

import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from zerotrust.durable import write_file
from zerotrust.revocation_list import SIGN_IN_LIFE
from zt.errors import CommandError
from zt.people.key import Key
from zt.people.login import Client, Login, endpoints, parse_login, post_form, sign_out

MAX_FILE = 64 * 1024
"""Bytes of the file: two tokens of Keycloak have about 2 KiB."""


class Kept(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user: str
    until: float
    """When it is not used any more, in seconds since the epoch."""
    key: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    id_token: str = Field(repr=False)

    @property
    def login(self) -> Login:
        """The tokens, but for the access token.  Raises `ValueError`."""
        tokens = {"access_token": "", "refresh_token": self.refresh_token, "id_token": self.id_token}
        return Login(**tokens, expires_in=0, key=Key.of(self.key))


class Keeper:
    """Keeps the sign-in with one client.  All methods raise `CommandError` for a file that is not as it wrote it."""

    def __init__(self, client: Client) -> None:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        self._client, self._folder = client, (Path(runtime) if runtime else Path.home() / ".cache") / "zt"
        issuer = hashlib.sha256(client.issuer.encode()).hexdigest()[:12]
        self._file = self._folder / f"{client.client_id}-{issuer}.json"

    async def resume(self, expected: str = "") -> Login | None:
        """Return new tokens of a sign-in of `expected`, or of anybody; None if a person has to sign in.

        Raises `CommandError` if somebody else is signed in, `LoginError`, and `httpx.HTTPError`.
        """
        with self._turn():
            if not (kept := self._read()):
                return None
            if kept.until <= time.time():  # control: sign-in-kept-for-a-time
                return None
            if expected and kept.user != expected.lower():
                why = f"{kept.user} is signed in, not {expected}: nothing was done.  `zt logout` signs out."
                raise CommandError(why, "not_signed_in")
            client, key = self._client, kept.login.key
            form = {"grant_type": "refresh_token", "client_id": client.client_id, "refresh_token": kept.refresh_token}
            async with client.http() as http:
                metadata = await endpoints(client, http, "token_endpoint")
                status, answer = await post_form(http, metadata.token_endpoint, form, key)
            if status != 200:  # the session has ended, or another Keycloak runs by now
                return None
            login = parse_login(answer, key)
            self._write(kept.user, login, kept.until)  # a refresh token can be used once
            return login

    def keep(self, user: str, login: Login) -> bool:
        """Keep a new sign-in.  Return whether that was possible: an account may have no place to write."""
        with self._turn():
            return self._write(user, login, time.time() + SIGN_IN_LIFE)

    async def end(self) -> str | None:
        """Delete the file, and sign out at Keycloak.  Return who was signed in, if anybody.

        Raises `LoginError`, `TimeoutError` and `httpx.HTTPError` after it has deleted the file.
        """
        with self._turn():
            if kept := self._read():
                self._file.unlink()
                await sign_out(self._client, kept.login)
            return kept.user if kept else None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let no other command of this account use the file while the block runs."""
        folder = None
        with suppress(OSError):  # then there is no file either
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fcntl.flock(folder := os.open(self._folder, os.O_RDONLY), fcntl.LOCK_EX)
        try:
            yield
        finally:
            if folder is not None:
                os.close(folder)

    def _read(self) -> Kept | None:
        try:
            # control: kept-sign-in-no-link
            file = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(file, "rb") as opened:
                found = os.fstat(file)
                # control: kept-sign-in-of-this-account
                if (found.st_uid, found.st_mode) != (os.geteuid(), stat.S_IFREG | 0o600):
                    raise ValueError("it is another account's, open to others, or no file")
                kept = Kept.model_validate_json(opened.read(MAX_FILE))
                kept.login.key  # noqa: B018 - it may be none
                return kept
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            why = f"{self._file} is not as zt wrote it ({error}): nothing was done.  Find out why, and remove it."
            raise CommandError(why, "sign_in_unfit") from error

    def _write(self, user: str, login: Login, until: float) -> bool:
        tokens = {"refresh_token": login.refresh_token, "id_token": login.id_token}
        kept = Kept(user=user, until=until, key=login.key.private, **tokens)
        with suppress(OSError):
            write_file(self._file, kept.model_dump_json().encode())
            return True
        return False
