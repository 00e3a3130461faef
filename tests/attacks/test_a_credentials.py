"""A. Credentials, and how they arrive: exactly one bearer token, in its header, or nothing is asked any further."""

from pathlib import Path

from lab.weak import GateAsDependency
from tests.support.attack import DOORS, META, Attempt, Target, Tries, Watched, attack
from tests.support.attack_wire import asked_once, request, served, with_certificate
from tests.support.ca import the_ca
from tests.support.issuer import Issuer
from tests.support.system import running
from zerotrust.decision import Reason

NOT_SERVED = {
    ("GET", "/"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("GET", "/sse"),
    ("POST", "/message:send"),
    ("GET", "/extendedAgentCard"),
    ("GET", "/tasks/1"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
}
"""Other transports of both protocols, and pages of a framework, which may be opened some day."""


@attack(1)
async def test_no_token_at_any_door(target: Target) -> Tries:
    for party in DOORS:
        service = target.system.services[party]
        assert isinstance(service, Watched)
        for method, path in sorted(service.required.keys() | NOT_SERVED):
            required = service.required.get((method, path))
            # What a certificate alone opens is no door of a token's.
            if (required is None or required.credential == "token") and method != "HEAD":
                yield await target.send(party, None, method=method, path=path)


@attack(2)
async def test_no_token_at_a_route_that_an_sdk_registered(target: Target) -> Tries:
    """A gate that is the framework's dependency never hears of these requests; the wrapper hears of all."""
    discover = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": META}}
    for party, body in (("agent/reader", None), ("agent/writer", None), ("tool/documents", discover)):
        tried = await target.send(party, None, body=body)
        tried.handled &= tried.answer.status_code == 200  # the SDK itself has answered
        yield tried


async def test_that_dependency_does_guard_what_the_framework_registers(tmp_path: Path, issuer: Issuer) -> None:
    async with running(tmp_path, issuer=issuer, kind=GateAsDependency) as system:
        answers = [
            await system.client("orchestrator", token).post("/plan", json={"request": "Summarise."})
            for token in (None, issuer.token(), issuer.token(scope="reasoning.plan"))
        ]

    assert [answer.status_code for answer in answers] == [401, 403, 200]


@attack(3)
async def test_a_token_in_the_query_or_in_a_form(target: Target) -> Tries:
    """Addresses end up in logs, histories and referrers (RFC 9700 section 4.3.2)."""
    form = [(b"content-type", b"application/x-www-form-urlencoded")]
    for party in DOORS:
        token = target.token(party)
        presented = f"access_token={token}"
        yield await target.send(party, None, query=f"?{presented}", proven=token)
        yield await target.send(party, None, headers=form, body=presented.encode(), proven=token)


@attack(4)
async def test_two_authorization_headers(target: Target) -> Tries:
    """Whoever stands in between may look at the one, and the service at the other."""
    for party in DOORS:
        token, scheme = target.token(party), target.scheme(party)
        good = scheme + f" {token}".encode()
        for first, second in (
            (good, good),
            (good, scheme + f" {target.token(party, sub='bob', groups=['/finance'])}".encode()),
            (good, b"Basic YWxpY2U6c2VjcmV0"),
            (b"Basic YWxpY2U6c2VjcmV0", good),
            (b"", good),
        ):
            both = [(b"authorization", first), (b"authorization", second)]
            yield await target.send(party, None, headers=both, proven=token)


@attack(5)
async def test_credentials_that_are_spelled_in_another_way(target: Target) -> Tries:
    for party in DOORS:
        good, scheme = target.token(party), target.scheme(party)
        token = good.encode()
        swapped = [(b"authorization", scheme.swapcase() + b" " + token)]
        served = await target.send(party, None, headers=swapped, proven=good)
        assert served.handled  # a scheme has no case (RFC 9110 section 11.1)
        for by, spellings in {
            "header-holds-one-token": (
                scheme + b" " + token + b", " + scheme + b" " + token,
                scheme + b"  " + token,
                scheme + b" " + token + b" ",
                scheme + b" " + token + b"\t",
            ),
            "token-characters": (scheme + b" " + token + b"==",),  # padded base64: the same token for many a parser
            "PyJWT: not a token": (
                scheme + b" " + token + b"," + token,
                scheme + b" " + token + b" x",
                scheme + b' "' + token + b'"',
                scheme + b" token=" + token,
            ),
        }.items():
            for spelled in spellings:
                yield await target.send(party, None, headers=[(b"authorization", spelled)], by=by, proven=good)
        for before in (scheme + b"\t", b""):
            headers = [(b"authorization", before + token)]
            tried = await target.send(party, None, headers=headers, reason=Reason.UNSUPPORTED_SCHEME, proven=good)
            yield tried.stopped_by("header-holds-one-token")


@attack(6)
async def test_another_scheme_and_bearers_of_nothing(target: Target) -> Tries:
    for party in DOORS:
        good, ours = target.token(party), target.scheme(party)
        token = good.encode()
        others = {b"Basic", b"DPoP", b"Bearer", b"Token", b"GNAP", ours + b"-Token", ours + b"\0", b"\xc2\xa0" + ours}
        for scheme in sorted(others - {ours}):
            headers = [(b"authorization", scheme + b" " + token)]
            yield await target.send(party, None, headers=headers, proven=good)
        for scheme in (ours + b":", ours + b"\xa0"):
            yield await target.send(party, None, headers=[(b"authorization", scheme + token)])
        for nothing in (b"", b" ", b" \0", b" \xff\xfe", b" " + token + "é".encode()):
            tried = [(b"authorization", ours + nothing)]
            yield await target.send(party, None, headers=tried, reason=Reason.MALFORMED_CREDENTIALS)


@attack(7)
async def test_a_token_or_an_identity_in_headers_that_only_a_proxy_may_set(target: Target) -> Tries:
    """Nobody stands in front of these services whose word for somebody's identity would count."""
    for party in DOORS:
        good = target.token(party)
        token = good.encode()
        for name in (b"x-forwarded-access-token", b"x-forwarded-authorization", b"proxy-authorization"):
            headers = [(name, target.scheme(party) + b" " + token)]
            yield await target.send(party, None, headers=headers, by="authorization-header-alone", proven=good)
        for name, value in (
            (b"x-auth-request-access-token", token),
            (b"cookie", b"access_token=" + token),
            (b"x-auth-request-user", b"alice"),
            (b"x-forwarded-user", b"alice"),
            (b"x-remote-user", b"alice"),
            (b"x-forwarded-for", b"127.0.0.1"),
            (b"x-forwarded-client-cert", b"URI=" + target.issuer.registry.id("agent/reader").encode()),
            (b"x-original-url", b"/health"),
            (b"x-http-method-override", b"GET"),
        ):
            yield await target.send(party, None, headers=[(name, value)], by="no code reads it")


@attack(9)
async def test_other_methods_and_paths_that_a_careless_reader_takes_for_open_ones(target: Target) -> Tries:
    """Without the control they reach the router, which answers 307, 404 or 405: nothing more is gained here."""
    for party, door in DOORS.items():
        ways = [(method, door.path) for method in ("GET", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE")]
        ways += [(method, "/health") for method in ("OPTIONS", "POST")]
        ways += [("POST", path) for path in (f"/{door.path}", f"{door.path}/", f"{door.path};x", door.path.upper())]
        ways += [("GET", path) for path in ("/docs", "/openapi.json", "//health", "/health/", "/Health", "/health;x")]
        ways += [("POST", f"{open_way}{door.path}") for open_way in ("/health/%2e%2e", "/health%2f..")]
        for method, path in ways:
            yield await target.send(party, None, method=method, path=path, reason=Reason.NO_TOKEN)
            yield await target.send(party, target.token(party), method=method, path=path)
        for path in (door.path, "/health"):
            tried = await target.send(party, target.token(party), method="HEAD", path=path)
            tried.effect = tried.handled  # an answer to HEAD has no body to look at
            yield tried
        escaped = f"/%{ord(door.path[1]):x}{door.path[2:]}"  # the server has undone this before the gate looks
        yield await target.send(party, None, path=escaped, reason=Reason.NO_TOKEN)
        assert (await target.send(party, target.token(party), path=escaped)).handled


@attack(10)
async def test_what_a_refusal_tells_about_a_forged_token(target: Target) -> Tries:
    """Until a signature is known to be good, every answer is the same, to the byte but for its trace id."""
    for party in DOORS:
        claims = target.claims(party)
        forged = Issuer(target.issuer.registry, clock=target.clock)
        first = ""
        for token, reason in (
            (forged.sign(claims), Reason.BAD_SIGNATURE),
            (target.issuer.sign(claims, header={"kid": "nobody"}), Reason.UNKNOWN_KEY),
            (target.issuer.sign(claims, header={"typ": "JWT"}), Reason.WRONG_TYPE),
            (target.issuer.sign(claims, header={"jku": "http://attacker.test"}), Reason.FORBIDDEN_HEADER),
            (
                target.issuer.sign_bytes(b'{"alg":"none","typ":"at+jwt","kid":"k1"}', b"{}"),
                Reason.ALGORITHM_NOT_ALLOWED,
            ),
            ("a.b.c", Reason.MALFORMED_TOKEN),
            # What has ended, and was not signed either.
            (forged.sign(claims | {"exp": 1}), Reason.BAD_SIGNATURE),
        ):
            tried = await target.send(party, token, reason=reason)
            assert not tried.handled
            headers = sorted(tried.answer.headers.items())
            said = f"{tried.answer.status_code} {headers} {tried.answer.text.replace(tried.problem['trace_id'], '')}"
            first = first or said
            tried.effect = said != first
            yield tried


@attack(8)
async def test_one_request_inside_another(target: Target) -> Tries:
    """What a proxy and we could read differently (RFC 9112 section 11.2) is read by nobody, and ends the connection."""
    party = "agent/reader"
    token = target.token(party)
    watched = target.system.services[party]
    assert isinstance(watched, Watched)
    whole = request(target, party, token)
    head, _, body = whole.partition(b"\r\n\r\n")
    inside = b"0\r\n\r\n" + whole
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    without_length = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"content-length"))
    async with served(target, party) as port:
        tls = with_certificate(the_ca().svid("orchestrator"))
        assert b" 200 " in await asked_once(port, party, tls, whole)
        by_llhttp, by_us = "llhttp: one length, and one way to give it", "one-host-header"
        for sent, by in (
            (head + b"\r\ntransfer-encoding: chunked\r\n\r\n" + inside, by_llhttp),  # CL.TE, and TE.CL
            (
                head.replace(b"content-length", b"transfer-encoding: chunked\r\ncontent-length") + b"\r\n\r\n" + inside,
                by_llhttp,
            ),
            (head + b"\r\ncontent-length: 0\r\n\r\n" + body, by_llhttp),
            (without_length + b"\r\ntransfer-encoding: xchunked\r\n\r\n" + chunks, by_llhttp),
            (without_length + b"\r\ntransfer-encoding: chunked, identity\r\n\r\n" + chunks, by_llhttp),
            (head.replace(b"content-length: ", b"content-length: +") + b"\r\n\r\n" + body, by_llhttp),
            (head + b"\r\nx-one: 1\r\n\tfolded: 2\nauthorization : x\r\n\r\n" + body, by_llhttp),
            (head + b"\r\nhost: another\r\n\r\n" + body, by_us),
            (head.replace(b"host: x\r\n", b"") + b"\r\n\r\n" + body, by_us),
            (head + b"\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" + body, by_us),
        ):
            handled = len(watched.handled)
            answer = await asked_once(port, party, tls, sent)
            done = len(watched.handled) > handled
            assert done or answer == b"" or b" 400 " in answer.split(b"\r\n")[0]
            yield Attempt("400, or the end of the connection", done).stopped_by(by)
