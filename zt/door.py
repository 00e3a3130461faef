"""The registry's operator door, as an operator's client sees it.

A token goes to the registry and to nobody else: who answers has shown, in the TLS handshake, a certificate of our CA
with the registry's name and its SPIFFE ID.  Until then nothing is sent.
"""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from zerotrust.limits.answers import MAX_ANSWER, SECONDS, ask
from zerotrust.registry.deployment import Deployment
from zerotrust.registry.model import Registry
from zerotrust.registry.snapshot import REGISTRY_PARTY
from zerotrust.spiffe.tls import user_context
from zt.login import Login, LoginError, sign_in, sign_out

CLIENT, SCOPE = "zt", "registry.admin"
JOURNAL = "run/data/authority-registry/journal.jsonl"
"""What the registry wrote down, on this machine."""


class DoorError(Exception):
    """It was not done.  The text names the cause and the next step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where operators sign in, and where the registry is found."""

    issuer: str
    door: str
    name: str
    """The DNS name in the registry's certificate."""
    spiffe_id: str
    ca: Path

    @classmethod
    def of(cls, registry: Registry, deployment: Deployment, *, keycloak: str, ca: Path) -> "Place":
        """The one of a registry that is deployed so."""
        return cls(
            issuer=f"{keycloak}/realms/{registry.realm}",
            door=deployment.parties[REGISTRY_PARTY].origin,
            name=registry.dns_name(REGISTRY_PARTY),
            spiffe_id=registry.id(REGISTRY_PARTY),
            ca=ca,
        )


class Door:
    """Asks the registry, as one operator."""

    def __init__(self, place: Place, http: httpx.AsyncClient, user: str) -> None:
        self._place, self._http, self.user = place, http, user

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the registry answers.  Raises `DoorError`."""
        options: dict[str, Any] = {} if body is None else {"json": body}
        try:
            status, answer = await ask(
                self._http,
                method,
                f"{self._place.door}{path}",
                most=MAX_ANSWER,
                extensions={"sni_hostname": self._place.name},
                **options,
            )
            content = json.loads(answer)
            if not isinstance(content, dict):
                raise ValueError("no object")
        except (ssl.SSLError, httpx.ConnectError) as error:
            raise self._unreached(error) from error
        except (httpx.HTTPError, OSError) as error:
            raise DoorError(f"The registry gave no answer ({error}), so it may have done it: look.") from error
        except ValueError as error:
            raise DoorError(f"The registry answered something else than JSON ({error}); see its log.") from error
        if status != 200:
            raise self._refused(status, content, path, body or {})
        return content

    def _unreached(self, error: Exception) -> DoorError:
        if any(why in str(error) for why in ("CERTIFICATE_VERIFY_FAILED", "is not the party", "one SPIFFE ID")):
            return DoorError(f"Who answers at {self._place.door} is not the registry, and was told nothing: {error}")
        return _not_running("The registry", self._place.door, error)

    def _refused(self, status: int, content: dict[str, Any], path: str, asked: dict[str, Any]) -> DoorError:
        reason, party = str(content.get("reason")), _party(path)
        cause = f"Keycloak has no user {asked.get('name')}" if reason == "unknown_subject" else "The registry refused"
        advice = str(content.get("advice") or "")
        refused = f"{cause} ({status}: {reason})" + (f": {advice}" if advice else "")
        locks_out = f"{party} is what operators come by, and nobody could reinstate it."
        if path == "/revocations":
            locks_out = f"{self.user} would be locked out. Another operator can revoke {self.user}."
        sentences = {
            "policy_denied": f"{self.user} is no operator: sign in as somebody of the group /operators.",
            "no_such_party": no_party(party),
            "drifted": advice
            or f"{party} does not run what was approved: put back what `zt party show {party}` names.",
            "would_lock_out": f"Not done: {locks_out}",
            "journal_unavailable": f"{refused}: it cannot write in {JOURNAL}; see its log.",
        }
        on_record = f"{refused}; on record as trace {content.get('trace_id')} in {JOURNAL}."
        return DoorError(sentences.get(reason, on_record))


def _not_running(who: str, where: str, error: Exception) -> DoorError:
    return DoorError(f"{who} does not answer at {where} ({error}): is it running? `make up` starts it.")


def no_party(name: str) -> str:
    """The sentence for a name that no party has."""
    return f"There is no party {name}: `zt party list` names them all."


def _party(path: str) -> str:
    return path.removeprefix("/parties/").removesuffix("/suspend").removesuffix("/reinstate")


async def sign_in_at(  # noqa: PLR0913 - where, who, for what
    issuer: str, client_id: str, user: str, password: str, scope: str, *, ca: Path
) -> Login:
    """Sign a person in as `sign_in` does, trusting the CA (PEM) of a system that should be running.

    Raises `DoorError`, also where it is not running.
    """
    try:
        trusting = ssl.create_default_context(cafile=ca)
        return await sign_in(issuer, client_id, user, password, scope, verify=trusting)
    except FileNotFoundError as error:
        raise DoorError(f"There is no {ca}: is the system running? `make up` starts it.") from error
    except LoginError as error:
        raise DoorError(str(error)) from error
    except (httpx.HTTPError, OSError) as error:
        raise _not_running("Keycloak", issuer, error) from error


@asynccontextmanager
async def signed_in(place: Place, user: str, password: str) -> AsyncIterator[Door]:
    """Sign an operator in, as a browser would, and out again at the end of this block, however it ends.

    Token and refresh token are in this block alone, and good for 60 s.  Raises `DoorError`.
    """
    login = await sign_in_at(place.issuer, CLIENT, user, password, SCOPE, ca=place.ca)
    try:
        headers = {"authorization": f"Bearer {login.access_token}"}
        tls = user_context(place.ca.read_text(), {place.name: place.spiffe_id})
        async with httpx.AsyncClient(verify=tls, headers=headers, trust_env=False, timeout=SECONDS) as http:
            yield Door(place, http, user)
    finally:
        # Where Keycloak is away by now, what was done stays done, and nobody has the tokens, which end within a minute.
        with suppress(LoginError, httpx.HTTPError, OSError):
            await sign_out(place.issuer, CLIENT, login, verify=ssl.create_default_context(cafile=place.ca))
