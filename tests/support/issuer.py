"""The issuer of `testkit`, with what is Keycloak's alone, and with the scopes that most tests want.

The real refusals of a real Keycloak are tested in `tests/e2e`.
"""

from typing import Any

import httpx

from authorities.registry.keycloak.events import RECORDED
from testkit import issuer
from testkit.issuer import ISSUER, encode, metadata
from zerotrust.issuer.discovery import Discovery, Metadata

__all__ = ["ISSUER", "encode", "metadata"]

_UNEVENTFUL: dict[str, Any] = {
    "config": {
        "eventsEnabled": True,
        "adminEventsEnabled": True,
        "adminEventsDetailsEnabled": True,
        "enabledEventTypes": list(RECORDED),
    }
}
"""What its administration answers: all events are kept, and there were none."""


class Known(Discovery):
    """An issuer whose metadata are known without asking."""

    def __init__(self, issuer: str = ISSUER, **changed: str) -> None:
        super().__init__(issuer, http=httpx.AsyncClient())
        self._metadata = Metadata(**metadata(issuer, **changed))

    async def metadata(self, *_needed: str) -> Metadata:
        return self._metadata


FOR_TASKS = "task.run agent.invoke tool.read tool.write inference.run llama.chat"
"""The scopes of a user's token, unless a test says otherwise."""


class Issuer(issuer.Issuer):
    """Issues access tokens as the realm does."""

    def claims(self, **changed: Any) -> dict[str, Any]:
        return super().claims(**({"scope": FOR_TASKS} | changed))

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        if "/admin/realms/" in path:
            return 200, _UNEVENTFUL.get(path.rpartition("/")[2], [])
        if b"grant_type=client_credentials" in body:
            return 200, {"access_token": self.token(), "expires_in": 60, "token_type": "Bearer"}
        return super().answer(path, body)
