"""The operators' client of the registry.

A token is sent only to the registry: in the TLS handshake, the server has to show a certificate of our CA with the
registry's name and its SPIFFE ID.  Nothing is sent before.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from jwt.utils import base64url_decode

from zerotrust.limits.answers import MAX_ANSWER, SECONDS, ask
from zerotrust.limits.strict_json import strict_object
from zerotrust.registry.deployment import Deployment
from zerotrust.registry.directory import Directory, Endpoint
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import deployed_at
from zt.client import user_client
from zt.login import Client, Login, LoginError, SignIn, sign_out

CLIENT, SCOPE = "zt", "registry.admin"
JOURNAL = "run/data/authority-registry/journal.jsonl"
"""The registry's journal, on this machine."""
LOG = "run/logs/authority-registry.log"
ATTESTATIONS_LOG = "run/logs/authority-attestation.log"
EXPIRED = 10
"""`X509_V_ERR_CERT_HAS_EXPIRED` of OpenSSL, which finds it after the authority and the name were found to be right."""


class CommandError(Exception):
    """The command failed, for a `reason`.  The text names the cause and the next step."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class RefusedError(CommandError):
    """The registry refused, with this `answer`: its status and reason."""

    def __init__(self, text: str, status: int, reason: str) -> None:
        super().__init__(text, reason)
        self.answer = f"{status} {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The issuer that operators sign in at, and the registry."""

    issuer: str
    registry: str
    """Its name."""
    attestation: tuple[str, str, Endpoint] | None
    """Name, DNS name and endpoint of who makes certificates, if it is deployed; its own has no SPIFFE ID."""
    address: str
    directory: Directory
    ca: Path

    @classmethod
    def of(cls, registry: Registry, deployment: Deployment, *, keycloak: str, ca: Path) -> "Place":
        """Return those of a registry with this deployment."""
        name = registry.authorities.attestation
        there = deployment.parties.get(name)
        dns_name = str(urlsplit(registry.address(name)).hostname)
        return cls(
            issuer=f"{keycloak}/realms/{registry.realm}",
            registry=registry.authorities.registry,
            attestation=(name, dns_name, (there.host, there.port)) if there else None,
            address=registry.address(registry.authorities.registry),
            directory=deployed_at(deployment, registry, approved={}).directory(),
            ca=ca,
        )


class RegistryClient:
    """Sends requests to the registry, as one operator.  All methods raise `CommandError`."""

    def __init__(self, address: str, http: httpx.AsyncClient, user: str, token: str) -> None:
        self._address, self._http, self.user, self._token = address, http, user, token

    @property
    def names(self) -> dict[str, str]:
        """The names of operators by their subjects, as far as they are known: that of this one."""
        subject = _claims(self._token).get("sub")
        return {subject: self.user} if isinstance(subject, str) else {}

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

    def _authorized(self, request: httpx.Request) -> httpx.Request:
        request.headers["authorization"] = f"Bearer {self._token}"
        return request

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the registry's answer."""
        options: dict[str, Any] = {} if body is None else {"json": body}
        try:
            status, answer = await self._answer(method, path, auth=self._authorized, **options)
            content = strict_object(answer, most=None)  # the number of revocations is not bounded
        except ValueError as error:
            raise CommandError(f"The registry did not answer with JSON ({error}): see {LOG}.", "no_answer") from error
        if status != 200:
            raise self._refused(status, content, path, body or {})
        return content

    async def audit_policy(self) -> str:
        """Return which log and witnesses to believe, as the registry tells everybody."""
        try:
            status, answer = await self._answer("GET", "/audit-policy")
            text = answer.decode()
        except ValueError as error:
            raise CommandError(
                f"The registry did not answer with a policy ({error}): see {LOG}.", "no_answer"
            ) from error
        if status == 404:
            raise CommandError("The registry has not cosigned a log yet: does authority/audit run?", "no_policy")
        if status != 200:
            raise CommandError(f"The registry gave no policy (status {status}): see {LOG}.", "no_answer")
        return text

    async def _answer(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        try:
            return await ask(self._http, method, f"{self._address}{path}", most=MAX_ANSWER, **options)
        except httpx.ConnectError as error:
            raise self._unreached(error) from error
        except (httpx.HTTPError, OSError) as error:
            why = (
                f"The registry gave no answer ({error}): it may have been done.  See `zt party list`, `zt revocations`."
            )
            raise CommandError(why, "no_answer") from error

    def _unreached(self, error: Exception) -> CommandError:
        cause: BaseException | None = error
        while cause and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__context__  # httpcore removes `__cause__`
        # Not the authority's, of which Keycloak's certificate was valid a moment ago.
        if getattr(cause, "verify_code", None) == EXPIRED:
            why = (
                f"The certificate of the server at {self._address} has expired; nothing was sent to it.  {_IF_DRIFTED}"
            )
            return CommandError(why, "registry_certificate_expired")
        if cause:
            why = f"The server at {self._address} is not the registry; nothing was sent to it: {error}"
            return CommandError(why, "not_the_registry")
        return _not_running("The registry", self._address, error)

    def _refused(self, status: int, content: dict[str, Any], path: str, sent: dict[str, Any]) -> RefusedError:
        """Return what an operator is told: what it is about, the next step, and where it is on record."""
        reason, trace, advice = (str(content.get(name) or "") for name in ("reason", "trace_id", "advice"))
        named = sent.get("name") or (_party(path) if path.startswith("/parties/") else path)
        refused = f"The registry refused {named} ({status}: {reason})" + (f": {advice}" if advice else "")
        otherwise = f"{refused}.  docs/reasons.md says what to do."
        sentence = self._sentences(_party(path), sent, content, refused).get(reason, otherwise)
        if trace and reason != "journal_unavailable":
            sentence += f"  On record as trace {trace} in {JOURNAL}."
        return RefusedError(sentence, status, reason)

    def _sentences(self, party: str, sent: dict[str, Any], content: dict[str, Any], refused: str) -> dict[str, str]:
        """Return, for each reason that an operator can meet, what it is about and the next step."""
        advice, user = str(content.get("advice") or ""), self.user
        locks_out = f"operators sign in with {party}, so no operator could reinstate it."
        if sent.get("kind") == "user":
            locks_out = f"{user} would be locked out. Another operator can revoke {user}."
        again = "Nothing was done: repeat the command in a moment."
        return {
            "policy_denied": f"{user} is not an operator (policy `operate`): sign in as a member of the group "
            "/operators.",
            "scope_missing": f"{user}'s token lacks the scope {content.get('scope')}: does registry.yaml let `zt` "
            "delegate it?  Then `make register`, `make down`, `make up`.",
            "revoked": f"{user} was revoked: another operator can reinstate them (`zt reinstate {user}`).",
            "expired": f"{user}'s token is good for a minute, and that is over: repeat the command.",
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
            "revocation_unknown": "The registry does not know what is revoked by now, because it has heard nothing of "
            "Keycloak or of attestation for some seconds, so it refuses everything.  Repeat the command in a moment.  "
            f"If that does not help: {_IF_DRIFTED}",
            "issuer_unavailable": f"The registry cannot ask Keycloak ({content.get('reason')}).  {again}",
            "too_many_requests": f"{user} has too many requests under way.  {again}",
            "busy": f"The registry has too many requests under way.  {again}",
            "journal_unavailable": f"{refused}: it cannot write to {JOURNAL}; see {LOG}.",
        }


_IF_DRIFTED = (
    "Attestation gives the registry no certificate and no token unless the registry runs the approved code: see what "
    f"{ATTESTATIONS_LOG} says of authority/registry (in containers: `docker compose logs attestation`).  Put its files "
    "back, or approve them by `make register`; then `make down`, `make up`."
)
"""What to look for, and to do, where the registry has no valid certificate, or no news of Keycloak."""
STARTED_BY = "`make up` or `docker compose up --wait` starts it."


def _not_running(who: str, where: str, error: Exception) -> CommandError:
    return CommandError(f"{who} does not answer at {where} ({error}): is it running? {STARTED_BY}", "not_running")


def no_party(name: str) -> str:
    """Return the message for a name that no party has."""
    return f"There is no party {name}: `zt party list` lists them all."


def _party(path: str) -> str:
    return path.removeprefix("/parties/").removesuffix("/suspend").removesuffix("/reinstate")


def client_at(issuer: str, client_id: str, scope: str, *, ca: Path) -> Client:
    """Return a client of a system that should be running, with trust in its CA (PEM).  Raises `CommandError`."""
    try:
        return Client(issuer, client_id, scope, ssl.create_default_context(cafile=ca))
    except FileNotFoundError as error:
        raise CommandError(f"There is no {ca}: is the system running? {STARTED_BY}", "not_running") from error
    except OSError as error:  # `ssl.SSLError` is one
        why = f"{ca} cannot be read as a certificate authority in PEM ({error})."
        raise CommandError(why, "authority_unreadable") from error


async def sign_in_at(client: Client, way: SignIn) -> Login:
    """Sign a person in, this way.  Raises `CommandError`, also if Keycloak is not running."""
    try:
        return await way(client)
    except LoginError as error:
        raise CommandError(f"Nobody was signed in: {error}.", "not_signed_in") from error
    except (httpx.HTTPError, OSError) as error:
        raise _not_running("Keycloak", client.issuer, error) from error


@asynccontextmanager
async def signed_in(place: Place, way: SignIn, expected: str = "") -> AsyncIterator[RegistryClient]:
    """Sign an operator in, this way, and sign them out when the block ends, however it ends.

    Only this block has the tokens, which are valid for 60 s.  Raises `CommandError`, also if somebody else than
    `expected` signed in.
    """
    client = client_at(place.issuer, CLIENT, SCOPE, ca=place.ca)
    login = await sign_in_at(client, way)
    try:
        user = name_in(login.access_token)
        if expected and user != expected.lower():
            why = f"{user} signed in, not {expected}: nothing was done.  Sign in as {expected}, or give --user {user}."
            raise CommandError(why, "not_signed_in")
        async with user_client(place.directory, place.ca, seconds=SECONDS) as http:
            yield RegistryClient(place.address, http, user, login.access_token)
    finally:
        # If Keycloak is down by now, the command still took effect, and the tokens expire within a minute.
        with suppress(LoginError, httpx.HTTPError, OSError):
            await sign_out(client, login)


async def audit_policy(place: Place) -> str:
    """Return which log and witnesses to believe, as the registry tells everybody.  Raises `CommandError`."""
    client_at(place.issuer, "", "", ca=place.ca)  # which says what is wrong with that file
    async with user_client(place.directory, place.ca, seconds=SECONDS) as http:
        return await RegistryClient(place.address, http, "", "").audit_policy()


def name_in(token: str) -> str:
    """Return who signed in.  The signature need not be verified: the token came from the issuer itself, over TLS."""
    try:
        return str(_claims(token)["preferred_username"])
    except (ValueError, IndexError, KeyError) as error:
        raise CommandError(f"Keycloak's token does not say who signed in ({error}).", "not_signed_in") from error


def _claims(token: str) -> dict[str, Any]:
    """Return what a token says, unverified.  Raises `ValueError` and `IndexError`."""
    return strict_object(base64url_decode(token.split(".")[1]))
