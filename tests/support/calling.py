"""The clients of a party, and servers that answer them as a test says."""

import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import httpx
import httpx2

from tests.support.system import fresh_revocations
from zerotrust import context
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.revocation import Revocations
from zerotrust.transport.egress import EgressClients

DOCUMENTS, READER = "spiffe://agents.example/tool/documents", "spiffe://agents.example/agent/reader"
ADDRESSES = {DOCUMENTS: "http://127.0.0.1:8104", READER: "https://reader.test:8443"}
SPAN = context.Span()

Answered = Callable[[ModuleType, Any], Any]
"""What a server answers to a request, made with the library of the client: httpx or httpx2."""


def token(value: str = "T2", audience: str = DOCUMENTS) -> ExchangedToken:
    return ExchangedToken(audience, "id", time.time() + 60, value)


def clients(answer: Answered, revocations: Revocations | None = None) -> EgressClients:
    """The clients of a party that serves a request, and is answered like that, whomever it calls."""

    def respond(library: ModuleType, request: Any) -> Any:
        answered = answer(library, request)
        if isinstance(answered, Exception):
            raise answered
        return answered

    context.REQUEST.set(context.RequestContext(span=SPAN))  # what the gate does for the request being handled
    return EgressClients(
        ADDRESSES,
        revocations=revocations or fresh_revocations(),
        transport=httpx.MockTransport(partial(respond, httpx)),
        mcp_transport=httpx2.MockTransport(partial(respond, httpx2)),
    )
