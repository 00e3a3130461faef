"""Discovery: only the issuer's own word on itself is gone by, and only as long as it is fresh."""

import asyncio
import json

import httpx
import pytest

from tests.support.door import Clock
from tests.support.issuer import ISSUER, metadata
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.discovery import MAX_AGE, MAX_METADATA, WELL_KNOWN, Discovery, UntrustedMetadata, discover

OTHER = "https://issuer.test/realms/other"


class Asked:
    """An issuer that answers as a test says, by default with good metadata."""

    def __init__(self, issuer: str = ISSUER) -> None:
        self.requests, self.clock = list[httpx.Request](), Clock(0)
        self.answer: httpx.Response | Exception = httpx.Response(200, json=metadata())
        self.open = asyncio.Event()
        self.open.set()
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.discovery = Discovery(issuer, http=self.http, clock=self.clock)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def refusal(self) -> Denied:
        with pytest.raises(Denied) as refused:
            await self.discovery.metadata()
        return refused.value


@pytest.fixture
async def asked() -> Asked:
    return Asked()


async def test_they_are_asked_for_once_for_all_who_wait_also_if_one_leaves_and_again_when_they_are_old(
    asked: Asked,
) -> None:
    asked.open.clear()
    leaving, *waiting = (asyncio.create_task(asked.discovery.metadata()) for _ in range(20))
    await asyncio.sleep(0)
    leaving.cancel()
    asked.open.set()
    assert {found.issuer for found in await asyncio.gather(*waiting)} == {ISSUER}
    asked.clock.now = MAX_AGE
    await asked.discovery.metadata()
    assert len(asked.requests) == 1

    asked.clock.now += 1
    await asked.discovery.metadata()
    assert len(asked.requests) == 2


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (httpx.ConnectError("refused"), "refused"),
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (httpx.Response(503, json={}), "status 503"),
        (httpx.Response(302, headers={"location": "https://evil.test"}), "status 302"),
    ],
)
async def test_metadata_are_used_no_longer_than_their_bound_and_then_nothing_is(
    asked: Asked, answer: httpx.Response | Exception, detail: str
) -> None:
    await asked.discovery.metadata()
    asked.answer, asked.clock.now = answer, MAX_AGE + 1

    refusal = await asked.refusal()
    assert (refusal.reason, refusal.status) == (Reason.ISSUER_UNAVAILABLE, 503)
    assert detail in refusal.detail

    asked.answer = httpx.Response(200, json=metadata())
    assert (await asked.discovery.metadata()).issuer == ISSUER


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (httpx.Response(200, text="<html>"), "its metadata: "),
        (httpx.Response(200, json=[]), "not an object"),
        (httpx.Response(200, text=json.dumps(metadata())[:-1] + f', "issuer": "{OTHER}"}}'), "its metadata: "),
        (httpx.Response(200, json={"issuer": ISSUER}), "its metadata lack jwks_uri"),
        (httpx.Response(200, json=metadata() | {"token_endpoint": 1}), "its metadata lack token_endpoint"),
        (httpx.Response(200, json=metadata(more="x" * MAX_METADATA)), "too large"),
    ],
)
async def test_what_is_no_whole_document_of_bounded_size_is_refused(
    asked: Asked, answer: httpx.Response, detail: str
) -> None:
    asked.answer = answer

    refusal = await asked.refusal()

    assert refusal.reason is Reason.ISSUER_UNTRUSTED
    assert detail in refusal.detail


@pytest.mark.parametrize("issuer", ["https://issuer.test/", "https://issuer.test/realms/agents/"])
async def test_a_slash_at_the_end_of_an_issuer_counts_and_its_metadata_are_where_the_standard_says(issuer: str) -> None:
    asked = Asked(issuer)
    asked.answer = httpx.Response(200, json=metadata(issuer, jwks_uri=f"{issuer}keys"))

    assert (await asked.discovery.metadata()).issuer == issuer
    assert str(asked.requests[0].url) == f"{issuer[:-1]}{WELL_KNOWN}"
    asked.answer, asked.clock.now = httpx.Response(200, json=metadata(issuer[:-1])), MAX_AGE + 1
    assert f"the issuer is {issuer} here, and {issuer[:-1]} in its own metadata" in (await asked.refusal()).detail


async def test_an_issuer_that_is_no_https_address_is_not_even_asked(asked: Asked) -> None:
    with pytest.raises(UntrustedMetadata, match="is not an https address"):
        await discover("http://issuer.test/realms/agents", asked.http)

    assert asked.requests == []


async def test_an_endpoint_that_the_issuer_does_not_have_is_missed_by_whom_needs_it_alone() -> None:
    asked = Asked()
    asked.answer = httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})

    assert (await asked.discovery.metadata()).jwks_uri == f"{ISSUER}/keys"
    with pytest.raises(Denied, match="its metadata lack token_endpoint, introspection_endpoint") as refused:
        await asked.discovery.metadata("jwks_uri", "token_endpoint", "introspection_endpoint")
    assert refused.value.reason is Reason.ISSUER_UNTRUSTED
    with pytest.raises(UntrustedMetadata, match="lack end_session_endpoint"):
        await discover(ISSUER, asked.http, "end_session_endpoint")
