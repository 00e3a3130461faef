"""Defines what an attack may do with a system: the same for the real system and for the earlier one."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

DOORS = ("orchestrator", "agent/reader", "agent/writer", "tool/documents", "inference")
"""The parties, by their names in `registry.yaml`; the first is the front door."""

Credentials = Mapping[str, str]
"""The headers by which a caller is admitted."""


class Refused(Exception):
    """Credentials were not given out.  The text repeats the answer."""


@dataclass(frozen=True, slots=True)
class Session:
    """The tokens of a user who has signed in."""

    user: str
    credentials: Credentials = field(repr=False)
    lasts: int
    """Seconds until these credentials end by themselves."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a caller."""

    said: str
    """Status and reason: `200 ok`, `401 revoked`."""
    text: str = field(default="", repr=False)
    """All that the caller can read."""
    seconds: float = 0
    """How long the caller waited for it."""

    @property
    def ok(self) -> bool:
        """Whether the call was served."""
        return self.said == "200 ok"


class System(Protocol):
    """A running system, as its users and its attackers find it.

    `by` is the party that a call comes from; None is a program that is none of them.
    """

    @property
    def patience(self) -> float:
        """Seconds within which the system promises to notice a change; a call is repeated as long."""

    async def sign_in(self, user: str) -> Session:
        """Sign a user in."""

    async def sign_out(self, session: Session) -> None:
        """End a user's session."""

    async def task(self, credentials: Credentials, request: str) -> Answer:
        """Ask the front door for a task."""

    async def credentials(self, session: Session, holder: str, target: str) -> Credentials:
        """Return what the party `holder` has for calling `target` in a task of this session.  Raises `Refused`."""

    async def call(self, target: str, credentials: Credentials, *, by: str | None) -> Answer:
        """Make a cheap call of a party's API."""

    async def tool(self, name: str, credentials: Credentials, *, by: str | None, **arguments: str) -> Answer:
        """Call a tool of the documents server."""

    async def identity(self) -> Credentials:
        """Return the answer to a program that poses as a party.  Raises `Refused`."""

    def changed_code(self, agent: str) -> AbstractAsyncContextManager[object]:
        """Have an agent's code changed for a block."""

    async def document_text(self, document: str) -> str:
        """Return the text of a document as it is stored now."""

    async def refusals(self) -> list[tuple[str, str, str]]:
        """Return what was refused in the last task by its records: to which party, what, and for which reason."""

    async def tool_record(self) -> list[str]:
        """Return what the tool has recorded of the last task, a line for each call."""

    async def reset(self) -> None:
        """Have the documents as they were at first."""
