"""What an answer says without its receipts, and the receipts themselves, not verified."""

import base64
from typing import Any

import httpx
import orjson

from zerotrust.receipts.carried import MEMBER, Carried, taken
from zerotrust.receipts.receipt import Receipt


def carried(answer: httpx.Response) -> Carried:
    """The content with its receipts taken out; it has a place for them, and one at least."""
    found = taken(answer.content)
    assert found is not None
    assert found.receipts
    return found


def told(answer: httpx.Response) -> Any:
    """The JSON of an answer without the member that has its receipts."""
    content = orjson.loads(carried(answer).content)
    assert content.pop(MEMBER) == ""
    return content


def receipts(answer: httpx.Response) -> list[Receipt]:
    """What the receipts of an answer say, that of the party which answered first."""
    return [said(one) for one in carried(answer).receipts]


def said(receipt: str) -> Receipt:
    """What one receipt says."""
    payload = receipt.split(".")[1]
    return Receipt.parse(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
