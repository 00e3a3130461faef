"""How an operator signs in: in a browser, whose redirect comes to a listener here, or by a code."""

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import webbrowser
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import jwt
import pytest

from testkit.browser import destination
from testkit.issuer import ISSUER, metadata
from zerotrust.possession import thumbprint
from zt.people import browser, device
from zt.people.key import Key
from zt.people.login import MOST_PARAMETERS, SIGNED_OUT, Client, LoginError, Request, parse_login, sign_out

TOKENS = {"access_token": "a", "refresh_token": "r", "id_token": "i", "expires_in": 60, "token_type": "dpop"}
PENDING, SLOW_DOWN = {"error": "authorization_pending"}, {"error": "slow_down"}
BEGUN = {
    "device_code": "secret",
    "user_code": "ABCD-EFGH",
    "verification_uri": f"{ISSUER}/device",
    "verification_uri_complete": f"{ISSUER}/device?user_code=ABCD-EFGH",
    "expires_in": 300,
    "interval": 2,
}


class Keycloak:
    """The endpoints of a sign-in.  It keeps what it was asked, and answers in turn; the last answer stays."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.proven: list[tuple[str, str]] = []
        """Thumbprint and id of each proof at the token endpoint."""
        self.answers: list[dict[str, Any]] = [TOKENS]
        self.begun: dict[str, Any] = BEGUN

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=metadata(device_authorization_endpoint=f"{ISSUER}/device"))
        self.asked.append(dict(parse_qsl(request.content.decode())))
        if request.url.path.endswith("/device"):
            answer = self.begun
        else:
            self.proven.append(proof_of(request))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(400 if "error" in answer else 200, json=answer)


def proof_of(request: httpx.Request) -> tuple[str, str]:
    """Return thumbprint and id of the proof for this request (RFC 9449 section 4.2)."""
    [proof] = request.headers.get_list("dpop")
    header = jwt.get_unverified_header(proof)
    claims = jwt.decode(proof, jwt.PyJWK(header["jwk"]), algorithms=["ES256"])
    assert (header["typ"], claims["htm"], claims["htu"]) == ("dpop+jwt", request.method, str(request.url))
    return thumbprint(header["jwk"]), claims["jti"]


@pytest.fixture
def keycloak(monkeypatch: pytest.MonkeyPatch) -> Keycloak:
    keycloak = Keycloak()
    transport = httpx.MockTransport(keycloak)
    monkeypatch.setattr(Client, "http", lambda _, **__: httpx.AsyncClient(transport=transport))
    return keycloak


CLIENT = Client(ISSUER, "zt", "registry.admin", ssl.create_default_context())


def say(_text: str, _facts: Mapping[str, Any]) -> None:
    """Nobody listens."""


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


async def test_a_proxy_of_the_environment_has_no_part_in_a_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        async with CLIENT.http() as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(f"https://127.0.0.1:{nobody.getsockname()[1]}")
        proxy.setblocking(False)  # noqa: FBT003
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (httpx.Response(302, headers={"location": SIGNED_OUT}), True),
        (httpx.Response(302, headers={"location": f"{ISSUER}/confirm"}), False),
        (httpx.Response(200, text="Do you want to log out?"), False),
        (httpx.Response(400), False),
    ],
)
async def test_a_session_has_ended_where_keycloak_leads_back_and_only_there(
    monkeypatch: pytest.MonkeyPatch, answer: httpx.Response, ended: bool
) -> None:
    sent: list[dict[str, str]] = []

    def answered(request: httpx.Request) -> httpx.Response:
        sent.append(dict(parse_qsl(request.content.decode())))
        return answer if request.method == "POST" else httpx.Response(200, json=metadata())

    transport = httpx.MockTransport(answered)
    monkeypatch.setattr(Client, "http", lambda _, **__: httpx.AsyncClient(transport=transport))

    with contextlib.nullcontext() if ended else pytest.raises(LoginError, match="the session did not end"):
        await sign_out(CLIENT, parse_login(TOKENS, Key()))
    assert sent[-1] == {"client_id": "zt", "id_token_hint": "i", "post_logout_redirect_uri": SIGNED_OUT}


# --- in a browser -----------------------------------------------------------------------------------------------------

Visit = Callable[[dict[str, str]], Awaitable[None]]


async def in_browser(visit: Visit, **more: Any) -> Any:
    """Sign in with a browser that does this with the parameters of the address that it is asked to open."""
    under_way: list[asyncio.Task[None]] = []

    async def visited(address: str) -> None:
        await visit({"address": address, **dict(parse_qsl(urlsplit(address).query))})

    def opened(address: str) -> None:
        under_way.append(asyncio.create_task(visited(destination(address))))

    try:
        return await browser.sign_in(CLIENT, opened=opened, **({"say": say} | more))
    finally:
        await asyncio.gather(*under_way)


async def get(url: str, *, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.request(method, url)


def good(asked: dict[str, str], **changed: str | None) -> str:
    """The redirect that Keycloak sends, with changed parameters."""
    back = {"code": "c", "state": asked["state"], "iss": ISSUER} | changed
    return f"{asked['redirect_uri']}?{urlencode({name: value for name, value in back.items() if value is not None})}"


async def test_the_code_of_the_redirect_is_redeemed_with_the_verifier(keycloak: Keycloak) -> None:
    seen: dict[str, str] = {}
    told: list[tuple[str, Mapping[str, Any]]] = []

    async def visit(asked: dict[str, str]) -> None:
        seen.update(asked)
        answer = await get(good(asked))
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert "You may close this window" in answer.text

    login = await in_browser(visit, hint="olga", say=lambda *words: told.append(words))

    assert login.access_token == "a"
    [(text, facts)] = told
    assert "within 120 s" in text
    assert text.endswith(facts["uri"])
    assert facts == {"sign_in": "browser", "uri": facts["uri"], "expires_in": 120}
    assert seen["address"].startswith(f"{ISSUER}/authorize?")
    assert (seen["client_id"], seen["scope"], seen["response_type"]) == ("zt", "openid registry.admin", "code")
    assert (seen["login_hint"], seen["code_challenge_method"]) == ("olga", "S256")
    where = urlsplit(seen["redirect_uri"])
    assert (where.scheme, where.hostname, where.path) == ("http", "127.0.0.1", "/callback")
    [asked] = keycloak.asked
    assert (asked["grant_type"], asked["code"]) == ("authorization_code", "c")
    assert asked["redirect_uri"] == seen["redirect_uri"]
    assert challenge_of(asked["code_verifier"]) == seen["code_challenge"]
    assert [key for key, _ in keycloak.proven] == [seen["dpop_jkt"]] == [login.key.thumbprint]


async def test_no_two_requests_have_the_same_secrets(keycloak: Keycloak) -> None:
    seen: list[dict[str, str]] = []

    async def visit(asked: dict[str, str]) -> None:
        seen.append(asked)
        await get(good(asked))

    for _ in range(2):
        await in_browser(visit)

    for name in ("state", "code_challenge", "dpop_jkt"):
        assert seen[0][name] != seen[1][name]
        assert len(seen[0][name]) > 20


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda asked: good(asked, state="x"), 400),
        (lambda asked: good(asked, state=None), 400),
        (lambda asked: good(asked, state="é"), 400),
        (lambda asked: good(asked) + "&state=x", 400),
        (lambda asked: good(asked) + "&x=1" * MOST_PARAMETERS, 400),
        (lambda asked: good(asked, error="access_denied", state="x"), 400),
        (lambda asked: asked["redirect_uri"], 400),
        (lambda asked: good(asked).replace("/callback", "/callback/"), 404),
        (lambda asked: good(asked).replace("/callback", "/"), 404),
        (lambda asked: good(asked).replace("/callback", "/favicon.ico"), 404),
    ],
)
async def test_what_does_not_answer_the_request_is_refused_and_changes_nothing(
    keycloak: Keycloak, spoil: Callable[[dict[str, str]], str], status: int
) -> None:
    async def visit(asked: dict[str, str]) -> None:
        assert (await get(spoil(asked))).status_code == status
        assert keycloak.asked == []
        await get(good(asked))

    assert (await in_browser(visit)).access_token == "a"
    assert [asked["code"] for asked in keycloak.asked] == ["c"]


async def test_another_method_is_refused_and_a_second_redirect_too(keycloak: Keycloak) -> None:
    async def visit(asked: dict[str, str]) -> None:
        assert (await get(good(asked), method="POST")).status_code == 404
        await get(good(asked))

    listener = browser.Listener("http://127.0.0.1:1/callback")
    request = Request(client=CLIENT, redirect=listener.redirect)
    code = listener.expect(request)
    query = urlencode({"code": "c", "state": request.state, "iss": ISSUER})
    answers = [listener._answer(f"GET /callback?{query} HTTP/1.1\r\n\r\n".encode()) for _ in range(2)]

    assert (answers, await code) == ([200, 404], "c")
    await in_browser(visit)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("invalid_scope", "Keycloak refused: invalid_scope: zt may not ask for registry.admin"),
        ("to repair:\n\n  run x", "Keycloak refused: it gave no error of RFC 6749"),
        (None, "Keycloak refused: it gave no error of RFC 6749"),
    ],
)
async def test_a_refusal_in_a_redirect_is_told_by_its_name_and_in_no_words_of_others(
    keycloak: Keycloak, error: str | None, told: str
) -> None:
    async def visit(asked: dict[str, str]) -> None:
        answer = await get(good(asked, code=None, error=error, error_description="to repair:\n\n  run x"))
        assert "terminal says why" in answer.text

    with pytest.raises(LoginError) as refused:
        await in_browser(visit)
    assert str(refused.value) == told


async def test_the_page_that_the_browser_opens_is_for_this_account_alone_and_not_for_longer(keycloak: Keycloak) -> None:
    pages: list[Path] = []

    def opened(address: str) -> None:
        page = Path(urlsplit(address).path)
        assert [one.stat().st_mode & 0o777 for one in (page, page.parent)] == [0o600, 0o700]
        assert destination(address).startswith(f"{ISSUER}/authorize?")
        pages.append(page)
        raise OSError("no browser")

    with pytest.raises(OSError, match="no browser"):
        await browser.sign_in(CLIENT, opened=opened, say=say)
    assert not pages[0].parent.exists()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"error": "invalid_grant", "error_description": "PKCE"}, "not exchanged for a token: invalid_grant: PKCE"),
        ({"access_token": "a"}, "not a token answer"),
        (TOKENS | {"expires_in": "soon"}, "not a token answer"),
        (TOKENS | {"token_type": "Bearer"}, "not bound to our key"),
        ({"error": "a\n\x1bb", "error_description": "x" * 300}, "for a token: a  b: x{194}$"),
    ],
)
async def test_a_code_that_brings_no_token_is_told(keycloak: Keycloak, answer: dict[str, Any], told: str) -> None:
    keycloak.answers = [answer]

    with pytest.raises(LoginError, match=told):
        await in_browser(lambda asked: get(good(asked)))  # type: ignore[arg-type,return-value]


async def test_nobody_waits_for_ever(keycloak: Keycloak, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "SECONDS_TO_SIGN_IN", 0)

    with pytest.raises(LoginError, match=r"no sign-in within 0 s\.  `zt --device`"):
        await in_browser(lambda _: asyncio.sleep(0))


async def test_half_a_request_and_one_without_an_end_are_given_up(
    keycloak: Keycloak, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def visit(asked: dict[str, str]) -> None:
        where = urlsplit(asked["redirect_uri"])
        for sent in (b"GET /callback HTTP", b"GET /" + b"x" * 2 * browser.MAX_HEAD):
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            writer.write(sent)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        monkeypatch.setattr(browser, "SECONDS_TO_ASK", 5)
        await get(good(asked))

    monkeypatch.setattr(browser, "SECONDS_TO_ASK", 0.1)
    assert (await in_browser(visit)).access_token == "a"


async def test_whoever_holds_many_connections_keeps_no_redirect_away(keycloak: Keycloak) -> None:
    async def visit(asked: dict[str, str]) -> None:
        where = urlsplit(asked["redirect_uri"])
        held = [await asyncio.open_connection(where.hostname, where.port) for _ in range(browser.MOST_CONNECTIONS + 1)]
        with contextlib.suppress(ConnectionError):
            assert await held[0][0].read() == b""  # the oldest
        assert (await get(good(asked))).status_code == 200
        for _, writer in held:
            writer.close()

    assert (await in_browser(visit)).access_token == "a"


async def test_connections_without_end_keep_no_redirect_away() -> None:
    async with browser._listening() as listener:
        request = Request(client=CLIENT, redirect=listener.redirect)
        code, where = listener.expect(request), urlsplit(listener.redirect)
        at = where.hostname or "", where.port or 0
        query = urlencode({"code": "c", "state": request.state, "iss": ISSUER})
        with socket.create_connection(at) as of_browser:
            of_browser.send(f"GET {where.path}?{query} HTTP/1.1\r\n\r\n".encode())
            for _ in range(20):  # turns of the loop
                with contextlib.ExitStack() as others:
                    for _ in range(100):  # as many as asyncio accepts in one turn, if nobody says how many
                        other = others.enter_context(socket.socket())
                        other.settimeout(0)
                        other.connect_ex(at)
                    await asyncio.sleep(0)
            of_browser.settimeout(0)
            assert await asyncio.get_running_loop().sock_recv(of_browser, 12) == b"HTTP/1.1 200"
        assert await code == "c"
        for _ in range(20):  # until the others that waited are closed, too
            await asyncio.sleep(0)


async def test_it_listens_on_the_loopback_interface_alone_and_not_for_longer_than_it_has_to(keycloak: Keycloak) -> None:
    ports: list[int] = []

    async def visit(asked: dict[str, str]) -> None:
        port = urlsplit(asked["redirect_uri"]).port or 0
        ports.append(port)
        with socket.socket() as probe:  # another address of the loopback interface
            assert probe.connect_ex(("127.0.0.2", port)) != 0
        await get(good(asked))

    await in_browser(visit)

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", ports[0])) != 0


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROWSER", "SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "get", lambda: None)


@pytest.mark.parametrize(
    ("variables", "usable"),
    [
        ({}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1.2.3.4 1 5.6.7.8 22"}, False),
        ({"BROWSER": "w3m", "SSH_CONNECTION": "1.2.3.4 1 5.6.7.8 22"}, True),
    ],
)
def test_a_browser_is_used_where_the_person_sits(
    nowhere: None, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], usable: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert browser.is_usable() is usable


OPENS = """
import sys
sys.path.insert(0, sys.argv[1])
from zt.people import browser
browser.open_page("https://localhost:8443/?a=1&b=%20")
browser._opened[0].wait()
print("ours")
"""


def test_the_browser_of_the_environment_is_opened_and_what_it_prints_is_no_output_of_ours(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "theirs: $1"\n')
    program.chmod(0o755)
    root = Path(__file__).parents[2]

    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", OPENS, str(root)],
        env={**os.environ, "BROWSER": str(program)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert (done.stdout, done.stderr) == ("ours\n", "theirs: https://localhost:8443/?a=1&b=%20\n")


# --- by a code --------------------------------------------------------------------------------------------------------


class Clock:
    """A clock that only a sleeper moves."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def __call__(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def by_code(clock: Clock, say: Callable[[str, Mapping[str, Any]], None] = say) -> Any:
    return await device.sign_in(CLIENT, say=say, sleep=clock.sleep, clock=clock)


async def test_a_code_that_is_confirmed_brings_the_tokens_to_who_has_the_verifier(keycloak: Keycloak) -> None:
    keycloak.answers, clock, told = [PENDING, PENDING, TOKENS], Clock(), list[Any]()

    login = await by_code(clock, lambda *words: told.append(words))

    assert login.access_token == "a"
    assert clock.slept == [2, 2, 2]
    begun, *polls = keycloak.asked
    assert (begun["client_id"], begun["scope"], begun["code_challenge_method"]) == (
        "zt",
        "openid registry.admin",
        "S256",
    )
    for poll in polls:
        assert (poll["grant_type"], poll["client_id"], poll["device_code"]) == (device.GRANT, "zt", "secret")
        assert challenge_of(poll["code_verifier"]) == begun["code_challenge"]
    assert {key for key, _ in keycloak.proven} == {login.key.thumbprint}
    assert len({proof for _, proof in keycloak.proven}) == len(polls) == 3
    [(text, facts)] = told
    for shown in (f"{ISSUER}/device ", "ABCD-EFGH within 300 s", f"{ISSUER}/device?user_code=ABCD-EFGH"):
        assert shown in text
    assert facts == {"sign_in": "device"} | {k: v for k, v in BEGUN.items() if k not in ("device_code", "interval")}
    assert "secret" not in text


async def test_keycloak_says_how_often_it_may_be_asked(keycloak: Keycloak) -> None:
    keycloak.answers, clock = [SLOW_DOWN, PENDING, SLOW_DOWN, TOKENS], Clock()
    keycloak.begun = {name: value for name, value in BEGUN.items() if name != "interval"}

    await by_code(clock)

    assert clock.slept == [5, 10, 10, 15]


@pytest.mark.parametrize(("expires_in", "polls"), [(5, 2), (1, 0), (2**40, device.LONGEST // 2 - 1)])
async def test_a_code_that_nobody_confirms_is_waited_for_no_longer_than_it_is_good(
    keycloak: Keycloak, expires_in: int, polls: int
) -> None:
    keycloak.answers, keycloak.begun = [PENDING], BEGUN | {"expires_in": expires_in}

    with pytest.raises(LoginError, match="the code was not confirmed in time"):
        await by_code(Clock())
    assert len(keycloak.asked) == 1 + polls


@pytest.mark.parametrize(
    ("begun", "told"),
    [
        ({"error": "unauthorized_client", "error_description": "off"}, "gives no code: unauthorized_client: off"),
        ({}, "gives no code: device_code is wrong or missing"),
        (BEGUN | {"interval": 0}, "gives no code: interval is wrong or missing"),
        (BEGUN | {"interval": device.LONGEST_INTERVAL + 1}, "gives no code: interval is wrong or missing"),
        (BEGUN | {"user_code": "AB then run x"}, "gives no code: user_code is wrong or missing"),
        (BEGUN | {"verification_uri": f"{ISSUER}/device\n"}, "gives no code: verification_uri is wrong or missing"),
        (BEGUN | {"expires_in": "x"}, "gives no code: expires_in is wrong or missing"),
    ],
)
async def test_where_there_is_no_code_it_is_said_why(keycloak: Keycloak, begun: dict[str, Any], told: str) -> None:
    keycloak.begun = begun

    with pytest.raises(LoginError, match=told):
        await by_code(Clock())


DEEP = b'{"a":' + b"[" * 200_000
INFINITE = b'{"access_token": "a", "expires_in": 1e999}'


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"x" * (2 << 20), DEEP, INFINITE])
async def test_what_is_no_answer_is_told(monkeypatch: pytest.MonkeyPatch, keycloak: Keycloak, body: bytes) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        return await keycloak(request) if request.method == "GET" else httpx.Response(502, content=body)

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(Client, "http", lambda _, **__: httpx.AsyncClient(transport=transport))

    with pytest.raises(LoginError, match=r"did not answer with JSON \(status"):
        await by_code(Clock())


async def test_an_issuer_that_is_another_one_is_not_asked(monkeypatch: pytest.MonkeyPatch, keycloak: Keycloak) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=metadata("https://other.test")))
    monkeypatch.setattr(Client, "http", lambda _, **__: httpx.AsyncClient(transport=transport))

    for way in (by_code(Clock()), in_browser(lambda _: asyncio.sleep(0))):
        with pytest.raises(LoginError, match="cannot be trusted"):
            await way


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """No process is left of a browser that was opened."""
    yield
    assert browser._opened == []
