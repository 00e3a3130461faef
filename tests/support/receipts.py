"""What an answer says without its receipts, and the receipts themselves, not verified."""

import base64
from typing import Any

import httpx
import orjson

from evidence.verified_receipt import receipt_of
from zerotrust.receipts.carried import HEADER, MEMBER, Carried, parse_answer, parse_header
from zerotrust.receipts.receipt import KIND, Receipt
from zerotrust.spiffe.statement import statement_type


def carried(answer: httpx.Response) -> Carried:
    """The content with its receipts taken out, and these, one at least: of the content, or of the header."""
    found = parse_answer(answer.content)
    if found is None and HEADER in answer.headers:
        return Carried(answer.content, 0, parse_header(answer.headers[HEADER]))
    assert found is not None
    assert found.receipts
    return found


def told(answer: httpx.Response) -> Any:
    """The JSON of an answer without the member that has its receipts."""
    content = orjson.loads(carried(answer).content)
    assert content.pop(MEMBER, "") == ""
    return content


def receipts(answer: httpx.Response) -> list[Receipt]:
    """What the receipts of an answer say, that of the party which answered first."""
    return [said(one) for one in carried(answer).receipts]


def said(receipt: str) -> Receipt:
    """What one receipt says."""
    payload = receipt.split(".")[1]
    return receipt_of(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def unreceipted(content: bytes) -> bytes:
    """A content without its receipts; if anything else than receipts is in their place, it stays there."""
    found = parse_answer(content)
    return found.content if found and all(statement_type(one) == KIND for one in found.receipts) else content


def heard(answer: httpx.Response) -> tuple[str, ...]:
    """All that an answer tells about what was done: its content, and what its receipts say beside it."""
    told = (
        f"{one.status} {one.verdict} {one.reason} {one.operation} {one.permission} {one.resources} {len(one.calls)}"
        for one in receipts(answer)
    )
    return carried(answer).content.decode(), *told
