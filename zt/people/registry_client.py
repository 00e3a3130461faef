"""The operators' client of the registry."""

import re
from collections.abc import Mapping
from typing import Any

from zerotrust.limits.answers import SECONDS
from zt.errors import CommandError
from zt.people.authorities import REGISTRY, Place
from zt.people.authority_client import AuthorityClient
from zt.people.client import user_client
from zt.people.sign_in import client_at


class RegistryClient(AuthorityClient):
    """Sends requests to the registry, as one operator.  All methods raise `CommandError`."""

    door = REGISTRY

    async def party(self, name: str) -> dict[str, Any]:
        """Return a party, with its state and its approval."""
        return await self.ask("GET", f"/parties/{name}")

    async def suspend(self, name: str, cause: str = "") -> dict[str, Any]:
        """Suspend a party."""
        return await self.ask("POST", f"/parties/{name}/suspend", {"cause": cause or f"suspended by {self.user}"})

    async def reinstate(self, name: str, cause: str = "") -> dict[str, Any]:
        """Reinstate a party."""
        return await self.ask("POST", f"/parties/{name}/reinstate", {"cause": cause or f"reinstated by {self.user}"})

    async def revoke(self, kind: str, name: str, cause: str = "") -> dict[str, Any]:
        """Revoke a session, a user or a token."""
        revocation = {"kind": kind, "name": name, "cause": cause or f"revoked by {self.user}"}
        return await self.ask("POST", "/revocations", revocation)

    def about(self, path: str, sent: Mapping[str, Any]) -> str:
        """Return what a request was about: a subject, a party, or the path."""
        return str(sent.get("name") or re.sub("^/parties/(.*?)(/suspend|/reinstate)?$", r"\1", path))


def no_party(name: str) -> str:
    """Return the message for a name that no party has."""
    return f"There is no party {name}: `zt party list` lists them all."


async def audit_policy(place: Place) -> str:
    """Return which log and witnesses to believe, as the registry tells everybody.  Raises `CommandError`."""
    client_at(place.issuer, "", "", ca=place.ca)  # which says what is wrong with that file
    try:
        async with user_client(place.directory, place.ca, seconds=SECONDS) as http:
            status, answer = await RegistryClient(place.address(REGISTRY), http, "", None).answer(
                "GET", "/audit-policy"
            )
        text = answer.decode()
    except ValueError as error:
        why = f"The registry did not answer with a policy ({error}): see {REGISTRY.log}."
        raise CommandError(why, "no_answer") from error
    if status == 404:
        raise CommandError("The registry has not cosigned a log yet: does authority/audit run?", "no_policy")
    if status != 200:
        raise CommandError(f"The registry gave no policy (status {status}): see {REGISTRY.log}.", "no_answer")
    return text
