"""exchange(): what is asked of the issuer, what is believed of its answer, and who has to wait for whom."""

import asyncio
import gc
import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.support.door import NOW, Clock
from tests.support.exchanging import READER, Proof, caller
from tests.support.issuer import ISSUER, Known, metadata
from tests.support.system import fresh_revocations
from tests.support.waiting import until
from zerotrust.audit.event_types import Exchange
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.identity import Principal
from zerotrust.issuer import exchange
from zerotrust.issuer.client import IssuerClient, credential
from zerotrust.issuer.exchange import ACCESS_TOKEN, MARGIN, ExchangedToken, Exchanger, TokenRequest
from zerotrust.limits.answers import REPORTING_MARGIN
from zerotrust.spiffe.svid import WorkloadError

DOCUMENTS = "spiffe://agents.example/tool/documents"
READ = frozenset({"tool.read"})


BEARER = {"token_type": "Bearer", "issued_token_type": ACCESS_TOKEN}
ID_TOKEN = ACCESS_TOKEN.replace("access_token", "id_token")


class Bench:
    """An exchanger, and an issuer that answers as a test says: by default with what was asked for."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self.key, self.clock, self.proof = key, Clock(), Proof()
        self.requests: list[httpx.Request] = []
        self.notes: list[Exchange] = []
        self.journal_down = False
        self.answer: Callable[[dict[str, str]], httpx.Response | Exception] = self.granted
        self.open = asyncio.Event()
        self.open.set()
        self.revocations = fresh_revocations()
        self.exchanger = Exchanger(
            issuer=IssuerClient(Known(), self.proof, httpx.AsyncClient(transport=httpx.MockTransport(self._answer))),
            chain_claim="act",
            revocations=self.revocations,
            record=self._note,
            clock=self.clock,
        )

    @property
    def forms(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(request.content.decode(), strict_parsing=True)) for request in self.requests]

    @property
    def reasons(self) -> list[str]:
        return [note.decision.reason for note in self.notes]

    def granted(self, form: dict[str, str], *, header: dict[str, Any] | None = None, **changed: Any) -> httpx.Response:
        """The right answer, with `changed` claims; None leaves one out."""
        claims: dict[str, Any] = {
            "sub": form["subject_token"].split(".")[0],
            "aud": form["audience"],
            "scope": form["scope"],
            "act": {"sub": READER, "act": {"sub": "spiffe://agents.example/orchestrator"}},
            "jti": f"narrowed-{len(self.requests)}",
            "exp": int(NOW) + 60,
        }
        claims = {name: value for name, value in (claims | changed).items() if value is not None}
        token = jwt.encode(claims, self.key, "RS256", headers={"typ": "at+jwt"} | (header or {}))
        return httpx.Response(200, json=BEARER | {"access_token": token})

    async def exchange(
        self, who: Principal | None = None, audience: str = DOCUMENTS, scopes: frozenset[str] = READ, **wishes: Any
    ) -> ExchangedToken:
        return await self.exchanger.exchange(who or caller(), TokenRequest(audience, scopes, **wishes))

    async def refusal(self, who: Principal | None = None, **wishes: Any) -> ReasonCode:
        with pytest.raises(Denied) as refused:
            await self.exchange(who, **wishes)
        return refused.value.reason

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        form = self.forms[-1]
        await self.open.wait()
        answer = self.answer(form)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _note(self, note: Exchange) -> None:
        if self.journal_down:
            raise Denied(Reason.JOURNAL_UNAVAILABLE)
        self.notes.append(note)


@pytest.fixture
async def bench(signing_key: RSAPrivateKey) -> Bench:
    return Bench(signing_key)


@contextmanager
def held(bench: Bench) -> Iterator[None]:
    """Let the issuer take its time for as long as the block runs."""
    bench.open.clear()
    yield
    bench.open.set()


# what is asked


def test_the_form_is_the_one_of_rfc_8693() -> None:
    scopes = frozenset({"tool.write", "tool.read"})

    form = TokenRequest(DOCUMENTS, scopes).form("T1")

    assert form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "T1",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": DOCUMENTS,
        "scope": "tool.read tool.write",
    }
    shorter = TokenRequest(DOCUMENTS, scopes, lifetime=5).form("T1")
    assert shorter == form | {"requested_lifetime": "5"}
    one = TokenRequest(DOCUMENTS, scopes, "/finance").form("T1")
    assert one == form | {"requested_department": "/finance"}


@pytest.mark.parametrize("lifetime", [0, -1])
def test_a_token_is_not_asked_for_without_a_lifetime(lifetime: int) -> None:
    with pytest.raises(ValueError, match="at least one second"):
        TokenRequest(DOCUMENTS, READ, lifetime=lifetime)


async def test_the_callers_own_token_is_exchanged_at_the_issuer_with_a_fresh_proof(bench: Bench) -> None:
    token = await bench.exchange(lifetime=30)

    assert str(bench.requests[0].url) == metadata()["token_endpoint"]
    wanted = TokenRequest(DOCUMENTS, READ, lifetime=30)
    assert bench.forms == [wanted.form("alice.token.1") | credential("proof-of-the-reader")]
    assert bench.proof.asked == [ISSUER]
    assert (token.audience, token.token_id, token.expires_at) == (DOCUMENTS, "narrowed-1", NOW + 60)
    assert jwt.decode(token.value, options={"verify_signature": False})["scope"] == "tool.read"
    assert token.value not in repr(token)
    assert [note.lifetime for note in bench.notes] == [30_000_000]


@pytest.mark.parametrize(
    ("scopes", "department", "detail"),
    [
        ({"tool.write"}, None, "tool.write"),
        ({"tool.read", "tool.write"}, None, "tool.write"),
        ({"tool"}, None, "tool"),
        ({"Tool.read"}, None, "Tool.read"),
        ({"*"}, None, "*"),
        ({"tool.read"}, "/finance", "/finance"),
    ],
)
async def test_more_than_the_caller_holds_is_never_asked_for(
    bench: Bench, scopes: set[str], department: str | None, detail: str
) -> None:
    assert await bench.refusal(scopes=frozenset(scopes), department=department) is Reason.WOULD_WIDEN

    assert bench.requests == []
    assert bench.proof.asked == []
    assert bench.reasons == [Reason.WOULD_WIDEN]
    assert bench.notes[0].decision.detail == detail


# one department of several

BOTH = frozenset({"/engineering", "/finance"})


@pytest.mark.parametrize(
    ("wanted", "groups"),
    [
        ("/finance", ["/engineering", "/finance"]),
        ("/finance", ["/engineering"]),
        (None, ["/engineering", "/finance", "/operators"]),
    ],
)
async def test_an_answer_with_more_groups_than_were_asked_for_is_refused(
    bench: Bench, wanted: str | None, groups: list[str]
) -> None:
    bench.answer = lambda form: bench.granted(form, groups=groups)

    assert await bench.refusal(caller(groups=BOTH), department=wanted) is Reason.EXCHANGE_REFUSED


# what is on record


async def test_a_token_that_cannot_be_recorded_is_not_handed_out_nor_kept(bench: Bench) -> None:
    bench.journal_down = True
    assert await bench.refusal() is Reason.JOURNAL_UNAVAILABLE

    bench.journal_down = False
    assert (await bench.exchange()).token_id == "narrowed-2"


# what is believed


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        pytest.param({"exp": 1}, Reason.EXCHANGE_REFUSED, id="dead, as the realm's script leaves a broken chain"),
        pytest.param({"exp": int(NOW)}, Reason.EXCHANGE_REFUSED, id="ends now"),
        pytest.param({"aud": READER}, Reason.EXCHANGE_REFUSED, id="for somebody else"),
        pytest.param({"aud": [DOCUMENTS, READER]}, Reason.EXCHANGE_REFUSED, id="for somebody else as well"),
        pytest.param({"aud": []}, Reason.EXCHANGE_REFUSED, id="for nobody"),
        pytest.param({"sub": "bob"}, Reason.EXCHANGE_REFUSED, id="another user's"),
        pytest.param({"scope": "tool.read tool.write"}, Reason.EXCHANGE_REFUSED, id="wider"),
        pytest.param({"scope": ""}, Reason.EXCHANGE_REFUSED, id="good for nothing"),
        pytest.param({"scope": "tool.write"}, Reason.EXCHANGE_REFUSED, id="another scope"),
        pytest.param({"act": None}, Reason.EXCHANGE_REFUSED, id="without a chain"),
        pytest.param({"exp": None}, Reason.ISSUER_UNAVAILABLE, id="without an end"),
        pytest.param({"jti": None}, Reason.ISSUER_UNAVAILABLE, id="without an id"),
        pytest.param({"sub": None}, Reason.ISSUER_UNAVAILABLE, id="without a user"),
        pytest.param({"aud": None}, Reason.ISSUER_UNAVAILABLE, id="without an audience"),
        pytest.param({"scope": None, "nonce": "x"}, Reason.ISSUER_UNAVAILABLE, id="an ID token"),
        pytest.param({"exp": str(int(NOW) + 60)}, Reason.ISSUER_UNAVAILABLE, id="with an end in words"),
    ],
)
async def test_a_token_that_is_not_what_was_asked_for_is_not_used(
    bench: Bench, changed: dict[str, Any], reason: ReasonCode
) -> None:
    bench.answer = lambda form: bench.granted(form, **changed)
    if "exp" in changed and isinstance(changed["exp"], str):  # PyJWT does not sign such an end; it may well read one
        bench.answer = lambda form: _with_raw_claims(bench, form, changed)

    assert await bench.refusal() is reason
    assert bench.reasons == [reason]


def _with_raw_claims(bench: Bench, form: dict[str, str], changed: dict[str, Any]) -> httpx.Response:
    token = bench.granted(form).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False}) | changed
    raw = jwt.PyJWS().encode(json.dumps(claims).encode(), bench.key, "RS256")
    return httpx.Response(200, json=BEARER | {"access_token": raw})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(400, json={"error": "invalid_scope"}), Reason.EXCHANGE_REFUSED),
        (httpx.Response(401, json={"error": "invalid_client"}), Reason.EXCHANGE_REFUSED),
        (httpx.Response(403, json={"error": "access_denied"}), Reason.EXCHANGE_REFUSED),
        (httpx.Response(302, json={}, headers={"location": "http://attacker.test"}), Reason.EXCHANGE_REFUSED),
        (httpx.Response(400, json=["invalid_scope"]), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(500, json={"error": "unknown_error"}), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(503, text="<html>"), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(200, text="<html>"), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(200, text=""), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(200, content=b"[" * 200_000), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(200, json=[]), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(200, json={}), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(200, json=BEARER | {"access_token": None}), Reason.ISSUER_UNAVAILABLE),
        (httpx.Response(200, json=BEARER | {"access_token": "garbage"}), Reason.ISSUER_UNAVAILABLE),
        (httpx.ConnectError("nobody there"), Reason.ISSUER_UNAVAILABLE),
        (httpx.ReadTimeout("too slow"), Reason.ISSUER_UNAVAILABLE),
        (httpx.RemoteProtocolError("cut off"), Reason.ISSUER_UNAVAILABLE),
    ],
)
async def test_an_issuer_that_refuses_is_distinguished_from_one_that_cannot_answer(
    bench: Bench, answer: httpx.Response | Exception, reason: ReasonCode
) -> None:
    bench.answer = lambda _form: answer

    assert await bench.refusal() is reason
    assert bench.reasons == [reason]
    assert len(bench.requests) == 1  # neither repeated nor redirected


@pytest.mark.parametrize(
    "changed", [{"token_type": "DPoP"}, {"token_type": "N_A"}, {"issued_token_type": ID_TOKEN}, {"token_type": None}]
)
async def test_what_is_no_bearer_access_token_is_not_used(bench: Bench, changed: dict[str, Any]) -> None:
    bench.answer = lambda form: httpx.Response(200, json=bench.granted(form).json() | changed)
    assert await bench.refusal() is Reason.EXCHANGE_REFUSED

    bench.answer = lambda form: httpx.Response(200, json=bench.granted(form).json() | {"token_type": "bearer"})
    assert (await bench.exchange()).value


async def test_nobody_waits_for_the_issuer_longer_than_the_callers_token_lives(bench: Bench) -> None:
    ending = caller(expires_at=NOW + REPORTING_MARGIN + 0.2)

    with held(bench):
        async with asyncio.timeout(30):
            assert await bench.refusal(ending) is Reason.ISSUER_UNAVAILABLE
    assert bench.notes[-1].decision.detail == "no answer in time"


async def test_without_a_proof_of_who_we_are_nothing_is_sent(bench: Bench) -> None:
    bench.proof.error = WorkloadError("not attested")

    assert await bench.refusal() is Reason.IDENTITY_UNAVAILABLE
    assert bench.requests == []
    assert bench.reasons == [Reason.IDENTITY_UNAVAILABLE]


# once per need


async def test_fifty_who_need_the_same_cost_one_exchange_and_who_leaves_does_not_take_the_others_answer_along(
    bench: Bench,
) -> None:
    with held(bench):
        leaving, *waiting = [asyncio.create_task(bench.exchange()) for _ in range(50)]
        await until(lambda: len(bench.requests) == 1)
        leaving.cancel()
    tokens = await asyncio.gather(*waiting)

    assert {token.token_id for token in tokens} == {"narrowed-1"}
    assert len({id(token) for token in tokens}) == 1
    assert leaving.cancelled()
    assert bench.reasons == [Reason.GRANTED]


async def test_an_exchange_that_was_called_off_is_tried_anew(bench: Bench) -> None:
    with held(bench):
        waiting = asyncio.create_task(bench.exchange())
        await until(lambda: bench.requests)
        (flight,) = bench.exchanger._flights.values()
        flight.cancel()
        await asyncio.wait([flight, waiting])

    assert await bench.exchange()


@pytest.mark.parametrize(
    ("life", "how", "until"),
    [
        pytest.param(120, {}, 60 - MARGIN, id="a short call"),
        pytest.param(120, {"lasting": 20}, 60 - 20, id="a call that may take 20 s"),
        pytest.param(20, {}, 20 - MARGIN, id="not past the end of its caller's token"),
        pytest.param(40, {"lasting": 60}, 40 - MARGIN, id="to the end of its caller's token, for none lasts longer"),
    ],
)
async def test_a_token_is_used_again_until_it_would_not_survive_the_call(
    bench: Bench, life: int, how: dict[str, float], until: float
) -> None:
    async def again() -> ExchangedToken:
        return await bench.exchanger.exchange(ending, TokenRequest(DOCUMENTS, READ), **how)

    ending = caller(expires_at=NOW + life)
    first = await again()
    assert first.expires_at == NOW + min(life, 60)
    bench.clock.now = NOW + until - 0.1
    assert await again() is first

    bench.clock.now = NOW + until
    assert await again() is not first
    assert len(bench.requests) == 2


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"who": caller("bob.token.1", subject="bob")}, id="another user"),
        pytest.param({"who": caller("alice.token.2")}, id="another token of the same user"),
        pytest.param({"audience": "spiffe://agents.example/inference"}, id="another audience"),
        pytest.param({"scopes": frozenset({"inference.run"})}, id="another scope"),
        pytest.param({"scopes": frozenset({"inference.run", "tool.read"})}, id="more scopes"),
        pytest.param({"lifetime": 10}, id="another lifetime"),
    ],
)
async def test_another_need_is_another_exchange(bench: Bench, other: dict[str, Any]) -> None:
    first = await bench.exchange()
    second = await bench.exchange(**other)

    assert second.value != first.value
    assert len(bench.requests) == 2
    assert await bench.exchange() is first  # and neither drives the other out


async def test_a_token_that_is_revoked_by_its_id_is_not_used_again(bench: Bench) -> None:
    first = await bench.exchange()
    bench.revocations.change(1, ("token", first.token_id), "stolen")

    assert await bench.exchange() is not first


async def test_a_cached_token_keeps_nothing_of_the_request_that_it_was_exchanged_for(bench: Bench) -> None:
    class Held:
        """What a request holds, as its receipts."""

    of_request = ContextVar[Held | None]("of_request", default=None)

    async def serve() -> "weakref.ref[Held]":
        of_request.set(held := Held())
        await bench.exchange()
        return weakref.ref(held)

    request = await asyncio.create_task(serve())

    def freed() -> bool:
        gc.collect()
        return request() is None

    await until(freed)
    assert len(bench.exchanger._tokens) == 1
    assert bench.exchanger._flights == {}


async def test_exchanges_under_way_are_bounded_and_all_of_them_are_answered(
    signing_key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "CAPACITY", 3)
    bench = Bench(signing_key)
    with held(bench):
        users = [caller(f"user{number}.token", subject=f"user{number}") for number in range(4)]
        waiting = [asyncio.create_task(bench.exchange(one)) for one in users]
        await until(lambda: len(bench.requests) == 4)
        assert len(bench.exchanger._flights) == 3

    assert len({token.value for token in await asyncio.gather(*waiting)}) == 4
    assert (len(bench.exchanger._flights), len(bench.exchanger._tokens)) == (0, 3)


async def test_memory_is_bounded_and_the_oldest_is_exchanged_anew(
    signing_key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "CAPACITY", 3)
    bench, callers = Bench(signing_key), [caller(f"alice.{number}") for number in range(4)]
    first = [await bench.exchange(one) for one in callers]

    assert len(bench.exchanger._tokens) == 3
    assert [await bench.exchange(one) is known for one, known in zip(callers[1:], first[1:], strict=True)] == [True] * 3
    assert await bench.exchange(callers[0]) is not first[0]


# the revoked


def revoke(bench: Bench, kind: Any = "user", name: str = "alice") -> None:
    bench.revocations.change((bench.revocations.number or 0) + 1, (kind, name), "a theft")


@pytest.mark.parametrize(
    ("kind", "name"), [("user", "alice"), ("token", "t1"), ("token", "t0"), ("session", "s"), ("before", str(int(NOW)))]
)
async def test_for_the_revoked_nothing_is_asked_and_that_is_on_record(bench: Bench, kind: str, name: str) -> None:
    revoke(bench, kind, name)

    assert await bench.refusal() is Reason.REVOKED
    assert bench.requests == []
    assert bench.proof.asked == []
    [note] = bench.notes
    assert (note.decision.allowed, note.decision.reason, note.parent_token_id) == (False, Reason.REVOKED, "t1")
    assert str(note.decision.detail).endswith(": a theft")


async def test_who_is_revoked_while_the_issuer_takes_its_time_gets_no_token(bench: Bench) -> None:
    with held(bench):
        waiting = [asyncio.create_task(bench.exchange()) for _ in range(3)]
        await until(lambda: len(bench.requests) == 1)
        revoke(bench)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Denied)] == [Reason.REVOKED] * 3
    assert bench.reasons == [Reason.REVOKED]
    assert await bench.refusal() is Reason.REVOKED
