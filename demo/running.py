"""What the walkthrough needs of a running system, on one machine or in containers."""

from pathlib import Path
from typing import Protocol

import httpx

from zerotrust.audit.event import AuditEvent
from zerotrust.registry.model import Registry
from zt.login import Login


class Running(Protocol):
    """A running system, as a person meets it who may also read its journals."""

    @property
    def registry(self) -> Registry:
        """Who takes part."""

    def address(self, name: str) -> str:
        """Return a party's origin, with its name in certificates."""

    def user(self) -> httpx.AsyncClient:
        """Return the HTTP client of a person, without a certificate."""

    async def sign_in(self, user: str, /) -> Login:
        """Sign a user in at the walkthrough's client, for everything."""

    def journal(self, name: str) -> Path:
        """Return the path of a party's journal."""

    def events(self, name: str) -> list[AuditEvent]:
        """Return the events of a party's journal."""
