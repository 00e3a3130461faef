"""A party that is suspended while it is called: nothing that it answers from then on is taken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import httpx2
import orjson
import pytest

from tests.support.calling import ADDRESSES, DOCUMENTS, READER, clients, token
from tests.support.system import fresh_revocations
from zerotrust.context import REQUEST
from zerotrust.decision import Denied, Reason
from zerotrust.receipts.calls import Calls, current_calls
from zerotrust.revocation import Revocations
from zerotrust.transport.egress import calling_with

HERE = ADDRESSES[READER]
ANSWER = b"data: after the suspension\n\n"
KINDS = pytest.mark.parametrize("kind", ["http", "mcp_http"])


class Answering(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    """An answer that waits for something before its last part."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self.meanwhile, self.closed = meanwhile, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"data: before\n\n"
        await self.meanwhile()
        yield ANSWER

    async def aclose(self) -> None:
        self.closed = True


class Call:
    """Calls the reader, which is answering when a test suspends it."""

    def __init__(self) -> None:
        self.revocations = fresh_revocations()
        self.answer = Answering(self.suspend)
        self.egress = clients(lambda library, _: library.Response(200, stream=self.answer), self.revocations)
        REQUEST.get().calls = Calls()

    async def suspend(self, party: str = READER) -> None:
        self.revocations.change((self.revocations.number or 0) + 1, ("party", party), "drift")

    async def made(self, kind: str) -> tuple[list[bytes], Any]:
        """Return what the caller gets of the answer, and the refusal that it gets in its place or after it."""
        client, parts = getattr(self.egress, kind), list[bytes]()
        with calling_with(token(audience=READER)):
            try:
                async with asyncio.timeout(30), client.stream("POST", HERE, content=b"x") as answer:
                    async for part in answer.aiter_bytes():
                        parts.append(part)
            except Denied as refusal:
                return parts, {"reason": refusal.reason, "detail": refusal.detail, **refusal.more}
        if kind == "mcp_http" and b"jsonrpc" in parts[0]:
            return [], orjson.loads(parts[0])["error"]["data"]
        return parts, None

    @property
    def noted(self) -> list[str | None]:
        """Why the call has no receipt."""
        calls = current_calls()
        assert calls
        return [one.reason for one in calls.entries() if one.answer is None]


@KINDS
@pytest.mark.parametrize("named", ["by a change", "by a whole state"])
@pytest.mark.parametrize("goes_on", [False, True])
async def test_its_answer_is_not_taken_however_long_it_would_go_on_and_the_receipt_says_why(
    kind: str, named: str, *, goes_on: bool
) -> None:
    call = Call()

    async def meanwhile() -> None:
        if named == "by a change":
            await call.suspend()
        else:
            call.revocations.replace(7, {("party", READER): "drift"})
        if goes_on:
            await asyncio.Event().wait()

    call.answer.meanwhile = meanwhile
    parts, refusal = await call.made(kind)

    assert ANSWER not in b"".join(parts)
    assert (refusal["reason"], refusal["begun"]) == (Reason.PEER_REVOKED, True)
    assert refusal.get("detail", f"party {READER}: drift") == f"party {READER}: drift"
    assert call.noted == ["peer_revoked"]
    assert call.answer.closed
    assert call.revocations._watches == {}


@KINDS
async def test_who_is_suspended_already_is_not_called(kind: str) -> None:
    call = Call()
    await call.suspend()
    _, refusal = await call.made(kind)
    assert (refusal["reason"], "begun" in refusal, call.noted) == (Reason.PEER_REVOKED, False, [])


def test_a_watch_says_once_why_and_of_a_called_party_alone() -> None:
    revocations: Revocations = fresh_revocations()
    told = list[tuple[str, str]]()

    with revocations.watching_peer(READER, lambda decision: told.append((decision.reason, decision.detail))):
        revocations.change(1, ("party", DOCUMENTS), "drift")
        revocations.change(2, ("user", READER), "drift")
        assert told == []
        revocations.change(3, ("party", READER), "drift")
        revocations.change(4, ("party", READER), "drift")

    assert told == [("peer_revoked", f"party {READER}: drift")]
