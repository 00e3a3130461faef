"""Passes on the audit log's proof of a receipt: people's clients do not reach the audit authority themselves."""

from typing import Annotated

import httpx
from fastapi import Path
from fastapi.responses import Response

from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.limits.answers import ask
from zerotrust.service import Service
from zerotrust.tlog.proof import MAX_EVIDENCE, evidence_of

Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]


class ProofReason(ReasonCode):
    """Why there is no proof, beside the reasons of the library."""

    NOT_LOGGED_YET = "not_logged_yet", (404, "invalid_request")


class Proofs:
    """The proofs of receipts that this party gave, fetched with its certificate: they are not secret."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def proof(self, sha256: Sha256) -> Response:
        """Return the entry of the log that names this receipt, with its proof.

        Raises `Denied` if the log does not have it: not yet, in the first second, or never, if no admitted call has
        it.  Also if the audit authority gives no valid answer.
        """
        registry = self._service.registry
        url = f"{registry.address(registry.authorities.audit)}/proofs/{sha256}"
        try:
            status, content = await ask(self._service.egress.authorities, "GET", url, most=MAX_EVIDENCE)
            if status == 404:
                raise Denied(ProofReason.NOT_LOGGED_YET)
            if status != 200:
                raise Denied(Reason.PEER_UNAVAILABLE, f"the audit authority: {status}")
            evidence_of(content)
        except (httpx.HTTPError, ValueError) as error:
            raise Denied(Reason.PEER_UNAVAILABLE, f"the audit authority: {error}") from error
        return Response(content, media_type="application/json", headers={"cache-control": "no-store"})
