"""Calls the audit log: hands a party's journal over, and gets the proof that its records are there."""

import base64
import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import httpx
import orjson

from zerotrust.audit.record import Link
from zerotrust.errors import ZeroTrustError
from zerotrust.limits.answers import ask
from zerotrust.limits.strict_json import strict_object
from zerotrust.tlog.note import MAX_NOTE, decode_base64
from zerotrust.tlog.proof import Proof, parse_proof

PATH = "/journal"
CHANGED = "journal_changed"
"""The reason for which the log takes nothing more of a journal: it has other records of it."""
REPAIR = "Nothing more of it is delivered: see docs/explain/failures.md"
_REASON = re.compile(r"[a-z][a-z_]{0,39}")
_HASH = re.compile(r"[0-9a-f]{64}")
_MOST_WAIT = 60
"""Seconds that a ledger may ask a party to wait."""


class NotDelivered(ZeroTrustError):
    """The audit log does not take records now.  The text says why."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        """`after`: seconds that the log asks to wait; 0 if it does not ask."""
        super().__init__(why)
        self.after = after


class InLog(NamedTuple):
    """The proofs that a record is in the log, and that the log continues what it was; neither has been verified."""

    proof: Proof
    grown: tuple[bytes, ...]
    """The consistency proof (RFC 9162 section 2.1.4) from the size that the caller named."""

    def json(self) -> bytes:
        grown = [base64.b64encode(one).decode() for one in self.grown]
        return orjson.dumps({"grown": grown, "proof": str(self.proof)})


def parse_in_log(raw: bytes) -> InLog:
    """Parse what `InLog.json` returns.  Raises `ValueError`."""
    try:
        said = strict_object(raw)
        return InLog(parse_proof(said["proof"].encode()), tuple(map(decode_base64, said["grown"])))
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("not a proof of the audit log") from error


class Ledger(Protocol):
    """Takes the lines of one journal, in order."""

    async def position(self) -> Link:
        """Return where the log stands with the journal.  Raises `NotDelivered`."""

    async def take(self, lines: Sequence[bytes]) -> Link:
        """Take further lines, and return where the log stands when they are published.  Raises `NotDelivered`."""

    async def proof(self, number: int, since: int) -> InLog:
        """Return the proof of a record and of the growth since `since` leaves.  Raises `NotDelivered`, `ValueError`."""


class RemoteLedger:
    """The ledger over HTTP, which knows the journal by the caller's certificate."""

    def __init__(self, http: httpx.AsyncClient, address: str) -> None:
        self._http, self._url = http, f"{address}{PATH}"

    async def position(self) -> Link:
        """Return where the log stands with the journal.  Raises `NotDelivered`."""
        return await self._request(httpx.Request("GET", self._url))

    async def take(self, lines: Sequence[bytes]) -> Link:
        """Send further lines, and return where the log stands when they are published.  Raises `NotDelivered`."""
        body = b"".join(line + b"\n" for line in lines)
        headers = {"content-type": "application/jsonl"}
        return await self._request(httpx.Request("POST", self._url, content=body, headers=headers))

    async def proof(self, number: int, since: int) -> InLog:
        """Return the proof of a record and of the growth since `since` leaves.  Raises `NotDelivered`, `ValueError`."""
        return parse_in_log(await _get(self._http, f"{self._url}/{number}?since={since}", most=2 * MAX_NOTE))

    async def _request(self, request: httpx.Request) -> Link:
        try:
            answer = await self._http.send(request)
        except httpx.HTTPError as error:
            raise NotDelivered(f"it does not answer: {type(error).__name__} {error}") from error
        try:
            said = strict_object(answer.content)
        except ValueError as error:
            raise NotDelivered(f"status {answer.status_code}, and no answer that can be read") from error
        if answer.status_code != 200:
            reason = said.get("reason")
            known = isinstance(reason, str) and _REASON.fullmatch(reason)
            hint = f". {REPAIR}" if reason == CHANGED else ""
            raise NotDelivered(f"it refuses: {answer.status_code} {reason if known else ''}{hint}", _wait(answer))
        number, head = said.get("n"), said.get("sha256")
        if type(number) is not int or number < 0 or not isinstance(head, str) or not _HASH.fullmatch(head):
            raise NotDelivered("it does not say where it stands with the journal")
        return Link(number, head)


def _wait(answer: httpx.Response) -> float:
    """Return the seconds that a refusal asks to wait (RFC 9110 section 10.2.3): at most a minute."""
    said = answer.headers.get("retry-after", "")
    return min(float(said), _MOST_WAIT) if re.fullmatch(r"[0-9]{1,4}", said) else 0.0


async def fetch_policy(http: httpx.AsyncClient, registry: str) -> str:
    """Return the policy of the log, as this registry publishes it.  Raises `NotDelivered`, `ValueError`."""
    return (await _get(http, f"{registry}/audit-policy", most=MAX_NOTE)).decode()


async def _get(http: httpx.AsyncClient, url: str, most: int) -> bytes:
    """Return the content at this address.  Raises `NotDelivered`, and `ValueError` for more than `most` bytes."""
    try:
        status, answer = await ask(http, "GET", url, most=most)
    except httpx.HTTPError as error:
        raise NotDelivered(f"{url} does not answer: {type(error).__name__} {error}") from error
    if status != 200:
        raise NotDelivered(f"{url} answers with status {status}")
    return answer
