"""confirm(): only a clear yes of the issuer is one; whatever else it says, or does not say, is a refusal."""

import asyncio
from urllib.parse import parse_qsl

import httpx
import pytest

from tests.support.exchanging import Proof, caller
from tests.support.issuer import ISSUER, Known, metadata
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.client import CLIENT_ASSERTION, IssuerClient
from zerotrust.issuer.introspection import Introspector
from zerotrust.spiffe.svid import WorkloadError


class Asked:
    """A confirmer, and an issuer that answers as a test says: by default that every token is active."""

    def __init__(self) -> None:
        self.proof, self.requests = Proof(), list[httpx.Request]()
        self.answer: httpx.Response | Exception = httpx.Response(200, json={"active": True})
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.confirm = Introspector(IssuerClient(Known(), self.proof, http), frozenset({"tool.write"}))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def refusal(self) -> Denied:
        with pytest.raises(Denied) as refused:
            await self.confirm(caller(), "tool.write")
        return refused.value


@pytest.fixture
def asked() -> Asked:
    return Asked()


async def test_the_issuer_is_asked_about_that_token_with_a_fresh_proof_of_who_asks(asked: Asked) -> None:
    await asked.confirm(caller("alice.token.1"), "tool.write")

    [request] = asked.requests
    assert (request.method, str(request.url)) == ("POST", metadata()["introspection_endpoint"])
    assert dict(parse_qsl(request.content.decode(), strict_parsing=True)) == {
        "client_assertion_type": CLIENT_ASSERTION,
        "client_assertion": "proof-of-the-reader",
        "token": "alice.token.1",
    }
    assert asked.proof.asked == [ISSUER]


@pytest.mark.parametrize("permission", ["tool.read", "tool", "Tool.write", "", "None"])
async def test_for_what_is_not_worth_it_nobody_is_asked(asked: Asked, permission: str) -> None:
    asked.answer = httpx.ConnectError("nobody there")

    await asked.confirm(caller(), permission)

    assert asked.requests == []
    assert asked.proof.asked == []


async def test_of_the_answer_nothing_but_whether_it_is_active_is_read(asked: Asked) -> None:
    asked.answer = httpx.Response(200, json={"active": True, "sub": "bob", "scope": "", "exp": 1, "aud": "another"})
    assert await asked.confirm(caller(), "tool.write") is None  # type: ignore[func-returns-value]

    asked.answer = httpx.Response(200, json={"active": False, "sub": "alice", "scope": "tool.write", "exp": 10**10})
    refusal = await asked.refusal()
    assert (refusal.status, refusal.reason) == (401, Reason.REVOKED)


@pytest.mark.parametrize(
    "answer",
    [
        *(
            httpx.Response(200, json={"active": active})
            for active in ("true", 1, None, [], {}, [True], {"active": True}, 0, "", "false")
        ),
        httpx.Response(200, json={}),
        httpx.Response(200, json={"Active": True}),
        *(httpx.Response(200, json=content) for content in ([], ["active"], True, "active", None)),
        *(httpx.Response(200, content=content) for content in (b"", b"<html>", b"\xff", b"[" * 200_000)),
        httpx.Response(200, content=b'{"active": true'),
        httpx.Response(200, content=b'{"active": true}'.ljust((1 << 20) + 1)),
        httpx.Response(200, headers={"content-encoding": "identity"}, content=b'{"active": true}'),
        *(httpx.Response(status, json={"active": True}) for status in (201, 400, 500)),
        httpx.Response(302, json={"active": True}, headers={"location": "http://attacker.test"}),
        httpx.Response(401, json={"error": "invalid_client"}),
        httpx.Response(403, json={"active": False}),
        httpx.Response(503, text="<html>"),
        httpx.ConnectError("nobody there"),
        httpx.ReadTimeout("too slow"),
        httpx.RemoteProtocolError("cut off"),
    ],
)
async def test_an_issuer_that_talks_nonsense_or_not_at_all_is_a_no_for_now(
    asked: Asked, answer: httpx.Response | Exception
) -> None:
    asked.answer = answer

    refusal = await asked.refusal()

    assert (refusal.status, refusal.reason) == (503, Reason.ISSUER_UNAVAILABLE)
    assert len(asked.requests) == 1  # neither repeated nor redirected


async def test_nobody_waits_for_ever_for_an_issuer_that_is_slow(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.limits.answers.SECONDS", 0.05)

    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("waited for ever")

    asked.confirm._issuer._http = httpx.AsyncClient(transport=httpx.MockTransport(never))

    async with asyncio.timeout(30):
        assert (await asked.refusal()).reason is Reason.ISSUER_UNAVAILABLE


async def test_without_a_proof_of_who_asks_nothing_is_sent(asked: Asked) -> None:
    asked.proof.error = WorkloadError("not attested")

    refusal = await asked.refusal()

    assert (refusal.status, refusal.reason, refusal.detail) == (503, Reason.IDENTITY_UNAVAILABLE, "not attested")
    assert asked.requests == []
