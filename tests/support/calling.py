"""Where calls of a party go, and with which token."""

import time

from zerotrust import context
from zerotrust.issuer.exchange import ExchangedToken

DOCUMENTS, READER = "spiffe://agents.example/tool/documents", "spiffe://agents.example/agent/reader"
ADDRESSES = {DOCUMENTS: "http://127.0.0.1:8104", READER: "https://reader.test:8443"}
SPAN = context.Span()


def token(value: str = "T2", audience: str = DOCUMENTS) -> ExchangedToken:
    return ExchangedToken(audience, "id", time.time() + 60, value)
