"""The operators' client of the registry."""

from collections.abc import Mapping
from typing import Any

from zerotrust.limits.answers import SECONDS
from zt.authority_client import AuthorityClient
from zt.client import user_client
from zt.doors import POLICY_AUTHORITY, REGISTRY, Place
from zt.errors import CommandError
from zt.sign_in import client_at


class RegistryClient(AuthorityClient):
    """Sends requests to the registry, as one operator.  All methods raise `CommandError`."""

    door = REGISTRY

    async def party(self, name: str) -> dict[str, Any]:
        """Return a party, with its state and its approval."""
        return await self.ask("GET", f"/parties/{name}")

    async def suspend(self, name: str, cause: str = "") -> dict[str, Any]:
        """Suspend a party."""
        return await self.ask("POST", f"/parties/{name}/suspend", {"cause": cause or f"suspended by {self.user}"})

    async def reinstate(self, name: str) -> dict[str, Any]:
        """Reinstate a party."""
        return await self.ask("POST", f"/parties/{name}/reinstate", {})

    async def revoke(self, kind: str, name: str, cause: str = "") -> dict[str, Any]:
        """Revoke a session, a user or a token."""
        revocation = {"kind": kind, "name": name, "cause": cause or f"revoked by {self.user}"}
        return await self.ask("POST", "/revocations", revocation)

    async def audit_policy(self) -> str:
        """Return which log and witnesses to believe, as the registry tells everybody."""
        try:
            status, answer = await self.answer("GET", "/audit-policy")
            text = answer.decode()
        except ValueError as error:
            why = f"The registry did not answer with a policy ({error}): see {REGISTRY.log}."
            raise CommandError(why, "no_answer") from error
        if status == 404:
            raise CommandError("The registry has not cosigned a log yet: does authority/audit run?", "no_policy")
        if status != 200:
            raise CommandError(f"The registry gave no policy (status {status}): see {REGISTRY.log}.", "no_answer")
        return text

    def about(self, path: str, sent: Mapping[str, Any]) -> str:
        """Return what a request was about: a subject, a party, or the path."""
        return str(sent.get("name") or (_party(path) if path.startswith("/parties/") else path))

    def sentences(self, path: str, sent: Mapping[str, Any], content: Mapping[str, Any], refused: str) -> dict[str, str]:
        """Return, for each reason of the registry, what it is about and the next step."""
        party = _party(path)
        advice, user = str(content.get("advice") or ""), self.user
        locks_out = f"without {party}, the registry would soon refuse all operators, and none could reinstate it."
        if sent.get("kind") == "user":
            locks_out = f"{user} would be locked out. Another operator can revoke {user}."
        return {
            "policy_denied": f"{user} is not an operator (policy `operate`): sign in as a member of the group "
            "/operators.",
            "no_such_party": no_party(party),
            "unknown_subject": f"Nothing was done: Keycloak has no user {sent.get('name')}.  It takes the name that "
            "they sign in with.",
            "drifted": advice
            or f"{party} does not run the approved code: restore the files that `zt party show {party}` names.",
            "would_lock_out": f"Not done: {locks_out}",
            "malformed_body": "Nothing was done: a cause has 1 to 200 printable characters; it does not begin with "
            "`keycloak: ` or `drift: `, as the causes of Keycloak and attestation do; a name has at most 512.",
            "registry_unfit": f"{refused}.  The registry goes on with what it has.  Mend the files, approve them by "
            "`make register`, then repeat `zt reload`.",
            "policy_unknown": "The registry has no policies yet, so nobody may do anything.  The policy authority "
            f"brings some within seconds of its start.  If not, {REGISTRY.log} and {POLICY_AUTHORITY.log} say why.",
            "revocation_unknown": "The registry does not know what is revoked by now, because it has heard nothing of "
            "Keycloak or of attestation for some seconds, so it refuses everything.  Repeat the command in a moment.  "
            f"If that does not help: {REGISTRY.if_drifted}",
        }


def no_party(name: str) -> str:
    """Return the message for a name that no party has."""
    return f"There is no party {name}: `zt party list` lists them all."


def _party(path: str) -> str:
    return path.removeprefix("/parties/").removesuffix("/suspend").removesuffix("/reinstate")


async def audit_policy(place: Place) -> str:
    """Return which log and witnesses to believe, as the registry tells everybody.  Raises `CommandError`."""
    client_at(place.issuer, "", "", ca=place.ca)  # which says what is wrong with that file
    async with user_client(place.directory, place.ca, seconds=SECONDS) as http:
        return await RegistryClient(place.address(REGISTRY), http, "", "").audit_policy()
