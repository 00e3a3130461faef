"""The delegation kit without a run of pytest of its own, and an issuer that is right, or wrong in one thing."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from testkit.delegation import Client, Issuer, password_grant, private_key_jwt, test_delegation
from testkit.delegation.issuer import EXCHANGE, TOKEN_TYPE, Claims

Check = Callable[[Issuer], None]


def checks() -> dict[str, Check]:
    """Every check of the kit in plain words, with its parameters in brackets."""
    found: dict[str, Check] = {}
    for name, check in vars(test_delegation).items():
        if name.startswith("test_"):
            marks = [mark.args for mark in getattr(check, "pytestmark", ())]
            for values in product(*(values for _, values in marks)):
                given = dict(zip((names for names, _ in marks), values, strict=True))
                words = [name.removeprefix("test_").replace("_", " "), *values]
                found[", ".join(words)] = partial(check, **given)
    return found


CHECKS = checks()


def outcome(check: Check, issuer: Issuer) -> tuple[str, str]:
    """`yes`, `no`, or `-` where it was not tried, and why."""
    try:
        check(issuer)
    except pytest.skip.Exception as skipped:
        return "-", str(skipped)
    except (AssertionError, pytest.fail.Exception) as failed:
        return "no", str(failed)
    return "yes", ""


class Refused(Exception):
    """The issuer says no."""


LIFE = 300
MOST = 8
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
CREDENTIALS: dict[str, Callable[[], dict[str, str]]] = {
    **{name: partial(dict, client_secret=f"of {name}") for name in "abd"},
    "c": private_key_jwt("c", "https://fake", PEM, "ES256"),
}


class Fake:
    """A small issuer that keeps every property, except what `wrong` names."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong, self.later, self.gone, self.address = wrong, 0.0, set[str](), "https://fake"
        self.refreshable: dict[str, tuple[str, Claims]] = {}

    def issuer(self, **changed: Any) -> Issuer:
        """As the kit sees it."""

        def wait(seconds: float) -> None:
            self.later += seconds

        ends = {"session": lambda said: said["sid"], "user": lambda said: said["sub"], "client": lambda _: "a"}
        described: dict[str, Any] = {
            "http": httpx.Client(transport=httpx.MockTransport(self.handle)),
            "metadata": self.metadata,
            "clients": [Client(client_id=name, credential=credential) for name, credential in CREDENTIALS.items()],
            "user_client": Client(client_id="shop"),
            "sign_in": password_grant("sam", "secret"),
            "scopes": ("read", "write"),
            "revoke": {what: partial(self.ending, of) for what, of in ends.items()},
            "wait": wait,
        }
        return Issuer(**described | changed)

    @property
    def metadata(self) -> dict[str, str]:
        return {f"{name}_endpoint": f"{self.address}/{name}" for name in ("token", "introspection", "revocation")}

    @contextmanager
    def ending(self, of: Callable[[Claims], str], said: Claims) -> Iterator[None]:
        self.gone.add(of(said))
        yield
        self.gone.remove(of(said))

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=self.metadata)
        form = dict(parse_qsl(request.content.decode()))
        try:
            client = self.client(form)
            if request.url.path == "/introspection":
                return httpx.Response(200, json=self.introspection(client, form["token"]))
            if request.url.path == "/revocation":
                self.gone.add(self.verified(form["token"])["jti"])
                return httpx.Response(200)
            return httpx.Response(200, json=self.grant(client, form, self.proven(request.headers.get("DPoP"))))
        except (Refused, jwt.InvalidTokenError) as error:
            return httpx.Response(500 if self.wrong == "error" else 400, json={"error": str(error)})

    def client(self, form: dict[str, str]) -> str:
        name, secret = form["client_id"], form.get("client_secret")
        if "client_assertion" in form:
            said = jwt.decode(form["client_assertion"], KEY.public_key(), ["ES256"], audience="https://fake")
            secret = f"of {said['sub']}"
        known = {"none": None, "another's": "of a"}.get(self.wrong.removesuffix(" credential"), f"of {name}")
        public = "" if self.wrong == "confidential" else "shop"
        if name in self.gone or (name != public and secret not in {known, f"of {name}"}):
            raise Refused("invalid_client")
        return name

    def proven(self, proof: str | None) -> str:
        return json.dumps(jwt.get_unverified_header(proof)["jwk"]) if proof else ""

    def grant(self, client: str, form: dict[str, str], jkt: str) -> dict[str, Any]:
        match form["grant_type"]:
            case "password":
                said: Claims = {"sub": "sam", "sid": secrets.token_hex(4), "scope": form["scope"]}
                return self.issued(client, jkt, ["a"], **said)
            case "refresh_token":
                holder, said = self.refreshable[form["refresh_token"]]
                if client != holder and self.wrong != "refresh by another client":
                    raise Refused("invalid_grant")
                said = dict(said)
                bound = said.pop("cnf", {"jkt": ""})["jkt"]
                accepted = {"refresh with any key": {jkt} - {""}, "refresh without a key": {""}, "confidential": {jkt}}
                if jkt not in accepted.get(self.wrong, set()) | {bound}:
                    raise Refused("invalid_grant")
                return self.issued(client, "" if self.wrong == "refresh unbinds" else jkt, **said)
            case "client_credentials" if self.wrong != "no own token":
                said = {"sub": client, "scope": "", "aud": [client]}
                if self.wrong == "any grant" and "subject_token" in form:
                    said["act"] = self.verified(form["subject_token"]).get("act")
                return self.issued(client, "", **said)
            case grant if grant == EXCHANGE:
                return self.exchange(client, form)
        raise Refused("unsupported_grant_type")

    def issued(self, azp: str, jkt: str, aud: list[str], end: float = float("inf"), **said: Any) -> dict[str, Any]:
        said |= {"cnf": {"jkt": jkt}} if jkt else {}
        record = azp, {"aud": aud, **said}
        now = int(time.time() + self.later)
        said |= {"azp": azp, "aud": aud[0] if len(aud) == 1 else aud, "exp": min(now + LIFE, end)}
        said |= {"iat": now, "jti": secrets.token_hex(8)}
        self.refreshable[said["jti"]] = record
        token = jwt.encode(said, KEY, "ES256")[:: -1 if self.wrong == "opaque" else 1]
        refresh = {} if self.wrong == "no refresh" else {"refresh_token": said["jti"]}
        return {"access_token": token, "token_type": "DPoP" if jkt else "Bearer"} | refresh

    def exchange(self, client: str, form: dict[str, str]) -> dict[str, Any]:
        subject = self.verified(form["subject_token"])
        self.check_standing(subject, "exchanged")
        own, before = subject["azp"] == client, subject.get("act")
        if own and self.wrong == "own token":
            before = None
        elif client not in subject["aud"] and self.wrong != "any holder":
            raise Refused("access_denied")
        if self.wrong == "acts once" and client in actors(before):
            raise Refused("actor repeated")
        if len(actors(before)) >= MOST and self.wrong != "no end":
            raise Refused("too deep")
        if before and self.wrong == "chain starts anew":
            before = None
        named = client
        if self.wrong == "actor token" and "actor_token" in form:
            named = self.verified(form["actor_token"])["azp"]
        if self.wrong == "actor field":
            named = form.get("actor", client)
        if self.wrong == "chain begins with the audience" and not before:
            named = form["audience"]
        ends: dict[str, float] = {"": subject["exp"], "longer life": float("inf"), "shorter life": subject["exp"] - 1}
        kind = form["requested_token_type"].removeprefix(TOKEN_TYPE)
        launders = self.wrong == f"{kind} without the chain"
        if kind != "access_token" and not launders:
            raise Refused("invalid_request")
        act = {"sub": named} | ({"act": before} if before else {})
        answer = self.issued(
            client,
            "",
            self.audience(form.get("audience")),
            ends.get(self.wrong, ends[""]),
            scope=self.scope(form.get("scope"), subject["scope"]),
            lineage=[*subject.get("lineage", []), subject["jti"]],
            through=[*subject.get("through", []), subject["azp"]],
            **({} if launders else {"act": act}),
            **{name: subject[name] for name in ("sub", "sid")},
        )
        return answer if launders else {**answer, "refresh_token": ""}

    def audience(self, asked: str | None) -> list[str]:
        if asked is None and self.wrong == "all audiences":
            return [*"abcd"]
        if asked not in {*"abcd"} and not (asked and self.wrong == "unknown audience"):
            raise Refused("invalid_target")
        return [str(asked), *(["everything"] if self.wrong == "one more audience" else [])]

    def scope(self, asked: str | None, held: str) -> str:
        if asked is None:
            return "read write" if self.wrong == "all scopes" else ""
        if self.wrong == "one scope" and asked != "read":
            raise Refused("invalid_scope")
        if not {*asked.split()} <= {*held.split()} and self.wrong != "scope again":
            raise Refused("invalid_scope")
        return asked

    def verified(self, token: str) -> Claims:
        token = token[:: -1 if self.wrong == "opaque" else 1]
        head = jwt.get_unverified_header(token)
        believed = {"no signature": head["alg"] == "none", "key in the token": "jwk" in head}.get(self.wrong, False)
        forged = self.wrong == "edited" and head["alg"] == "ES256"
        if believed or forged:
            return dict(jwt.decode(token, options={"verify_signature": False}))
        return dict(jwt.decode(token, KEY.public_key(), ["ES256"], options={"verify_aud": False, "verify_iat": False}))

    def check_standing(self, said: Claims, way: str) -> None:
        names = {
            "session": [said.get("sid")],
            "user": [said["sub"]],
            "client": [said["azp"], *said.get("through", [])],
            "ancestor": [said["jti"], *said.get("lineage", [])],
        }
        for what, those in names.items():
            if self.gone & {*those} and self.wrong != f"{way} after {what}":
                raise Refused("invalid_request")

    def introspection(self, client: str, token: str) -> Claims:
        try:
            said = self.verified(token)
            self.check_standing(said, "introspected")
        except Refused:
            return {"active": False}
        if self.wrong == "introspection shortens":
            said["act"] = {"sub": said["act"]["sub"]}
        return {"active": client in said["aud"] and self.wrong != "never active", **said}


def actors(act: Any) -> list[str]:
    return [act["sub"], *actors(act.get("act"))] if act else []
