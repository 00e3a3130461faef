"""A client of an authority, for operators: the registry, or the policy authority.

A token is sent only to that authority, with a proof of its key: in the TLS handshake, the server has to show a
certificate of our CA with the authority's name and its SPIFFE ID.  Nothing is sent before.
"""

import ssl
from collections.abc import Mapping
from typing import Any, ClassVar

import httpx
from jwt.utils import base64url_decode

from zerotrust.limits.answers import MAX_ANSWER, ask
from zerotrust.limits.strict_json import strict_object
from zt.errors import CommandError, RefusedError, not_running
from zt.people.authorities import POLICY_AUTHORITY, Authority
from zt.people.key import BoundToken
from zt.reasons import meaning, remedy

EXPIRED = 10
"""`X509_V_ERR_CERT_HAS_EXPIRED` of OpenSSL, which finds it after the authority and the name were found to be right."""

MOST_TOLD = 20
"""Problems of policies in an error; with `--json` and `zt policy test` there are all that the authority tells."""


class AuthorityClient:
    """Sends requests to an authority, as one operator: a person, or a party.  All methods raise `CommandError`."""

    door: ClassVar[Authority]

    def __init__(self, address: str, http: httpx.AsyncClient, user: str, auth: BoundToken | None) -> None:
        """`auth`: adds a person's token; a party's client has its own."""
        self._address, self._http, self.user, self._auth = address, http, user, auth

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the authority's answer."""
        options: dict[str, Any] = {} if body is None else {"json": body}
        try:
            status, answer = await self.answer(method, path, auth=self._auth, **options)
            content = strict_object(answer, most=None)  # the number of revocations is not bounded
        except ValueError as error:
            why = f"{self._title} did not answer with JSON ({error}): see {self.door.log}."
            raise CommandError(why, "no_answer") from error
        if status != 200:
            raise self._refusal(status, content, path, body or {})
        return content

    async def answer(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        """Return status and content of the authority's answer; without further options, without a token."""
        try:
            return await ask(self._http, method, f"{self._address}{path}", most=MAX_ANSWER, **options)
        except httpx.ConnectError as error:
            raise self._unreachable(error) from error
        except (httpx.HTTPError, OSError) as error:
            why = f"{self._title} gave no answer ({error}): it may have been done.  See {self.door.look}."
            raise CommandError(why, "no_answer") from error

    @property
    def _title(self) -> str:
        return self.door.called[0].upper() + self.door.called[1:]

    def _unreachable(self, error: Exception) -> CommandError:
        cause: BaseException | None = error
        while cause and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__context__  # httpcore removes `__cause__`
        # Not the authority's, of which Keycloak's certificate was valid a moment ago.
        if getattr(cause, "verify_code", None) == EXPIRED:
            why = (
                f"The certificate of the server at {self._address} has expired; nothing was sent to it.  "
                f"{self.door.drift_advice}"
            )
            return CommandError(why, self.door.expired_reason)
        if cause:
            why = f"The server at {self._address} is not {self.door.called}; nothing was sent to it: {error}"
            return CommandError(why, self.door.impostor_reason)
        return not_running(self._title, self._address, error)

    def _refusal(self, status: int, content: dict[str, Any], path: str, sent: dict[str, Any]) -> RefusedError:
        """Return the message for an operator: its subject, the reason, the next step, and where it is on record."""
        reason, trace, advice = (str(content.get(name) or "") for name in ("reason", "trace_id", "advice"))
        why = advice.rstrip(".") or meaning(reason).rstrip(".")
        told = f"{self._title} refused {self.about(path, sent)} ({status} {reason}): {why}.  {remedy(reason)}"
        if isinstance(problems := content.get("problems"), list):
            told += "".join(f"\n- {one}" for one in problems[:MOST_TOLD])
            number = len(problems) + int(content.get("further_problems") or 0)
            told += f"\nand {number - MOST_TOLD} more." if number > MOST_TOLD else ""
        if trace and reason != "journal_unavailable":
            told += ("\n" if problems else "  ") + f"On record as trace {trace} in {self.door.journal}."
        return RefusedError(told, status, reason)

    def about(self, path: str, _sent: Mapping[str, Any]) -> str:
        """Return what a request was about."""
        return path


class PolicyClient(AuthorityClient):
    """Sends requests to the policy authority, as one operator.  All methods raise `CommandError`."""

    door = POLICY_AUTHORITY


def claims(token: str) -> dict[str, Any]:
    """Return what a token says, unverified.  Raises `ValueError` and `IndexError`."""
    return strict_object(base64url_decode(token.split(".")[1]))
