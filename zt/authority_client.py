"""A client of an authority, for operators: the registry, or the policy authority.

A token is sent only to that authority: in the TLS handshake, the server has to show a certificate of our CA with the
authority's name and its SPIFFE ID.  Nothing is sent before.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar
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

ATTESTATIONS_LOG = "run/logs/authority-attestation.log"
EXPIRED = 10
"""`X509_V_ERR_CERT_HAS_EXPIRED` of OpenSSL, which finds it after the authority and the name were found to be right."""
STARTED_BY = "`make up` or `docker compose up --wait` starts it."


class CommandError(Exception):
    """The command failed, for a `reason`.  The text names the cause and the next step."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class RefusedError(CommandError):
    """An authority refused, with this `answer`: its status and reason."""

    def __init__(self, text: str, status: int, reason: str) -> None:
        super().__init__(text, reason)
        self.answer = f"{status} {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How operators reach one of the authorities, and how `zt` speaks of it."""

    client: str
    """What they sign in with."""
    scope: str
    """What it asks for, which one party serves: the authority."""
    called: str
    """In a sentence."""
    party: str
    """Its usual name, which names its files on this machine."""
    expired: str
    """The reason, for programs, if its certificate has expired."""
    impostor: str
    """The reason if another server answers."""
    look: str
    """The commands that show whether something was done."""

    @property
    def journal(self) -> str:
        """Its journal, on this machine."""
        return f"run/data/{self.party.replace('/', '-')}/journal.jsonl"

    @property
    def log(self) -> str:
        """Its log, on this machine."""
        return f"run/logs/{self.party.replace('/', '-')}.log"

    @property
    def if_drifted(self) -> str:
        """What to look for, and to do, where it has no valid certificate, or no news of Keycloak."""
        return (
            f"Attestation gives {self.called} no certificate and no token unless {self.called} runs the approved "
            f"code: see what {ATTESTATIONS_LOG} says of {self.party} (in containers: `docker compose logs "
            "attestation`).  Put its files back, or approve them by `make register`; then `make down`, `make up`."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The issuer that operators sign in at, and the authorities."""

    issuer: str
    registry: str
    """Its name."""
    attestation: tuple[str, str, Endpoint] | None
    """Name, DNS name and endpoint of who makes certificates, if it is deployed; its own has no SPIFFE ID."""
    doors: Mapping[str, str]
    """The address of the party that serves each scope."""
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
            doors={
                scope: registry.address(entry.served_by[0])
                for scope, entry in registry.scopes.items()
                if entry.served_by[0] in registry.parties
            },
            directory=deployed_at(deployment, registry, approved={}).directory(),
            ca=ca,
        )

    def address(self, door: Door) -> str:
        """Return the address of an authority.  Raises `CommandError` if this system has none of that kind."""
        if door.scope not in self.doors:
            raise CommandError(
                f"registry.yaml has no scope {door.scope}, so this system has no {door.party}.", "no_door"
            )
        return self.doors[door.scope]


class AuthorityClient:
    """Sends requests to an authority, as one operator.  All methods raise `CommandError`."""

    door: ClassVar[Door]

    def __init__(self, address: str, http: httpx.AsyncClient, user: str, token: str) -> None:
        self._address, self._http, self.user, self._token = address, http, user, token

    @property
    def names(self) -> dict[str, str]:
        """The names of operators by their subjects, as far as they are known: that of this one."""
        subject = _claims(self._token).get("sub")
        return {subject: self.user} if isinstance(subject, str) else {}

    def _authorized(self, request: httpx.Request) -> httpx.Request:
        request.headers["authorization"] = f"Bearer {self._token}"
        return request

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the authority's answer."""
        options: dict[str, Any] = {} if body is None else {"json": body}
        try:
            status, answer = await self.answer(method, path, auth=self._authorized, **options)
            content = strict_object(answer, most=None)  # the number of revocations is not bounded
        except ValueError as error:
            why = f"{self._title} did not answer with JSON ({error}): see {self.door.log}."
            raise CommandError(why, "no_answer") from error
        if status != 200:
            raise self._refused(status, content, path, body or {})
        return content

    async def answer(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        """Return status and content of the authority's answer; without further options, without a token."""
        try:
            return await ask(self._http, method, f"{self._address}{path}", most=MAX_ANSWER, **options)
        except httpx.ConnectError as error:
            raise self._unreached(error) from error
        except (httpx.HTTPError, OSError) as error:
            why = f"{self._title} gave no answer ({error}): it may have been done.  See {self.door.look}."
            raise CommandError(why, "no_answer") from error

    @property
    def _title(self) -> str:
        return self.door.called[0].upper() + self.door.called[1:]

    def _unreached(self, error: Exception) -> CommandError:
        cause: BaseException | None = error
        while cause and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__context__  # httpcore removes `__cause__`
        # Not the authority's, of which Keycloak's certificate was valid a moment ago.
        if getattr(cause, "verify_code", None) == EXPIRED:
            why = (
                f"The certificate of the server at {self._address} has expired; nothing was sent to it.  "
                f"{self.door.if_drifted}"
            )
            return CommandError(why, self.door.expired)
        if cause:
            why = f"The server at {self._address} is not {self.door.called}; nothing was sent to it: {error}"
            return CommandError(why, self.door.impostor)
        return _not_running(self._title, self._address, error)

    def _refused(self, status: int, content: dict[str, Any], path: str, sent: dict[str, Any]) -> RefusedError:
        """Return what an operator is told: what it is about, the next step, and where it is on record."""
        reason, trace, advice = (str(content.get(name) or "") for name in ("reason", "trace_id", "advice"))
        refused = f"{self._title} refused {self.about(path, sent)} ({status}: {reason})"
        refused += f": {advice}" if advice else ""
        sentences = self._usual(content, refused) | self.sentences(path, sent, content, refused)
        sentence = sentences.get(reason, f"{refused}.  docs/reasons.md says what to do.")
        if trace and reason != "journal_unavailable":
            sentence += f"  On record as trace {trace} in {self.door.journal}."
        return RefusedError(sentence, status, reason)

    def about(self, path: str, _sent: Mapping[str, Any]) -> str:
        """Return what a request was about."""
        return path

    def sentences(
        self, _path: str, _sent: Mapping[str, Any], _content: Mapping[str, Any], _refused: str
    ) -> dict[str, str]:
        """Return, for each reason of this authority that an operator can meet, what it is about and the next step.

        `_refused`: the beginning of a sentence that says so.
        """
        return {}

    def _usual(self, content: Mapping[str, Any], refused: str) -> dict[str, str]:
        """Return that for the reasons of every authority."""
        user, title, client = self.user, self._title, self.door.client
        again = "Nothing was done: repeat the command in a moment."
        return {
            "scope_missing": f"{user}'s token lacks the scope {content.get('scope')}: does registry.yaml let "
            f"`{client}` delegate it?  Then `make register`, `make down`, `make up`.",
            "revoked": f"{user} was revoked: another operator can reinstate them (`zt reinstate {user}`).",
            "expired": f"{user}'s token is good for a minute, and that is over: repeat the command.",
            "issuer_unavailable": f"{title} cannot ask Keycloak ({content.get('reason')}).  {again}",
            "too_many_requests": f"{user} has too many requests under way.  {again}",
            "busy": f"{title} has too many requests under way.  {again}",
            "journal_unavailable": f"{refused}: it cannot write to {self.door.journal}; see {self.door.log}.",
        }


def _not_running(who: str, where: str, error: Exception) -> CommandError:
    return CommandError(f"{who} does not answer at {where} ({error}): is it running? {STARTED_BY}", "not_running")


C = TypeVar("C", bound=AuthorityClient)


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
async def signed_in(kind: type[C], place: Place, way: SignIn, expected: str = "") -> AsyncIterator[C]:
    """Sign an operator in at an authority, this way, and sign them out when the block ends, however it ends.

    Only this block has the tokens, which are valid for 60 s.  Raises `CommandError`, also if somebody else than
    `expected` signed in.
    """
    address = place.address(kind.door)
    client = client_at(place.issuer, kind.door.client, kind.door.scope, ca=place.ca)
    login = await sign_in_at(client, way)
    try:
        user = name_in(login.access_token)
        if expected and user != expected.lower():
            why = f"{user} signed in, not {expected}: nothing was done.  Sign in as {expected}, or give --user {user}."
            raise CommandError(why, "not_signed_in")
        async with user_client(place.directory, place.ca, seconds=SECONDS) as http:
            yield kind(address, http, user, login.access_token)
    finally:
        # If Keycloak is down by now, the command still took effect, and the tokens expire within a minute.
        with suppress(LoginError, httpx.HTTPError, OSError):
            await sign_out(client, login)


def name_in(token: str) -> str:
    """Return who signed in.  The signature need not be verified: the token came from the issuer itself, over TLS."""
    try:
        return str(_claims(token)["preferred_username"])
    except (ValueError, IndexError, KeyError) as error:
        raise CommandError(f"Keycloak's token does not say who signed in ({error}).", "not_signed_in") from error


def _claims(token: str) -> dict[str, Any]:
    """Return what a token says, unverified.  Raises `ValueError` and `IndexError`."""
    return strict_object(base64url_decode(token.split(".")[1]))
