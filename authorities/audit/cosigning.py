"""Asks witnesses to cosign a checkpoint (c2sp.org/tlog-witness): the registry, without which nothing is published.

The others are asked when the registry has signed, so that none of them signs what it refuses.  They have a short time
and little room, and their answers affect no other party.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import httpx

from authorities.audit.external_witnesses import ExternalWitness
from authorities.audit.log import Growth, LogError, OtherHistory
from zerotrust.authority.ledger.cosignature import KEY_HEADER
from zerotrust.limits.answers import ask
from zerotrust.tlog.checkpoint import cosignature_time
from zerotrust.tlog.note import MAX_NOTE, Note, Signature, VerifierKey, parse_signatures
from zerotrust.tlog.quorum import TrustPolicy, policy
from zerotrust.tlog.tree import InvalidLog

WITHIN = 1.0
"""Seconds that other witnesses have for a checkpoint: the publication of a batch waits for them at most that long."""
MAX_COSIGNED = 8_192
"""Bytes of a witness's answer: a line of an Ed25519 key has 1 kB at most, and one of a larger key beside it 5 kB."""
PAUSE = 60.0
"""Seconds for which a witness that did not sign is not asked: it misses some checkpoints, and signs a later one."""

log = logging.getLogger(__name__)


class Cosigners:
    """The witnesses of a log; a call asks them to cosign a checkpoint."""

    def __init__(
        self,
        registry: str,
        *,
        http: httpx.AsyncClient,
        others: Callable[[], Sequence[ExternalWitness]] = tuple,
        others_http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`registry`: its address, to which `http` connects; `others_http` connects to the others.

        `others` returns those of now; it may block.
        """
        self._registry, self._http = registry, http
        self._others, self._others_http, self._clock = others, others_http, clock
        self._held = dict[str, int]()
        self._paused = dict[str, float]()
        self._policy: TrustPolicy | None = None

    async def __call__(self, growth: Growth) -> Sequence[Signature]:
        """Return the cosignatures, the registry's among them.

        Raises `LogError` without that one; `OtherHistory` if the registry has signed another history.
        """
        try:
            found = await self._ask_registry(growth)
        except (httpx.HTTPError, OSError, ValueError) as error:
            if isinstance(error, LogError):
                raise
            raise LogError(f"the registry has not cosigned: {error or type(error).__name__}") from error
        others = await asyncio.to_thread(self._others)
        if not others or not growth.checkpoint.size:
            return found
        asked = await asyncio.gather(*(self._ask_other(one, growth) for one in others))
        return [*found, *(signature for some in asked for signature in some)]

    async def _ask_registry(self, growth: Growth) -> list[Signature]:
        status, text = await self._ask(self._http, self._registry, growth)
        if status in {409, 422}:
            raise OtherHistory(
                f"the registry has cosigned another history of this log than that on the disk ({status}: {text}): this "
                "is a restored backup or a second instance. See docs/explain/failures.md; change nothing in either"
            )
        if status != 200:
            raise LogError(f"the registry does not cosign ({status}): {text}")
        cosigned = Note(growth.note.text, (*growth.note.signatures, *parse_signatures(text)))
        demanded, self._policy = self._policy or await self._fetch_policy(), None
        demanded.check(cosigned)  # what is published is what readers accept
        [witness] = demanded.witnesses.values()
        self._policy = demanded
        return _signature_of(witness, cosigned)

    async def _fetch_policy(self) -> TrustPolicy:
        status, answer = await ask(self._http, "GET", f"{self._registry}/audit-policy", most=MAX_NOTE)
        if status != 200:
            raise LogError(f"the registry has no policy for the log ({status})")
        return policy(answer.decode())

    async def _ask_other(self, other: ExternalWitness, growth: Growth) -> list[Signature]:
        if self._clock() < self._paused.get(other.address, 0.0) or not self._others_http:
            return []
        try:
            async with asyncio.timeout(WITHIN):
                status, text = await self._ask(self._others_http, other.address, growth)
            if status != 200:
                raise LogError(f"status {status}: {text}")
            cosigned = Note(growth.note.text, parse_signatures(text))
            if cosignature_time(cosigned, other.key) is None:
                raise InvalidLog("its answer has no signature of its own")
        except (httpx.HTTPError, OSError, ValueError) as error:
            self._paused[other.address] = self._clock() + PAUSE
            log.warning("the witness %s has not cosigned: %s", other.key.name, error or type(error).__name__)
            return []
        return _signature_of(other.key, cosigned)

    async def _ask(self, http: httpx.AsyncClient, address: str, growth: Growth) -> tuple[int, str]:
        """Return status and text of a witness's answer; a witness at another size is asked again, from that size."""
        status, text = await self._send(http, address, growth, self._held.get(address, growth.before))
        if status == 409 and (held := int(text)) <= growth.checkpoint.size:
            status, text = await self._send(http, address, growth, held)
        if status == 200:
            self._held[address] = growth.checkpoint.size
        return status, text

    async def _send(self, http: httpx.AsyncClient, address: str, growth: Growth, old: int) -> tuple[int, str]:
        request = await asyncio.to_thread(growth.since, old)
        content, headers = str(request).encode(), {KEY_HEADER: str(growth.key)}
        url = f"{address}/add-checkpoint"
        status, answer = await ask(http, "POST", url, most=MAX_COSIGNED, content=content, headers=headers)
        text = answer.decode(errors="replace")
        return status, text if status == 200 else text.strip()[:200]


def _signature_of(key: VerifierKey, note: Note) -> list[Signature]:
    """Return one cosignature of this witness, however often it signed: the checkpoint has room for one of each."""
    found = [one for one in note.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
    return found[:1]  # control: one-of-each-witness
