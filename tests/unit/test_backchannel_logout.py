"""Logout tokens: only the realm's, only recent, only once (OpenID Connect Back-Channel Logout 1.0 section 2.6)."""

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from authorities.registry.keycloak.backchannel_logout import EVENT, MAX_AGE, Logouts
from authorities.registry.keycloak.events import Change
from tests.support.door import Clock
from tests.support.issuer import ISSUER, Issuer, Known
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.issuer.jwks import SigningKeys
from zerotrust.registry.model import Registry
from zerotrust.token_validation import CLOCK_SKEW

NOW = 1_795_563_631


class Door:
    """A door for logout tokens, and an issuer that signs any."""

    def __init__(self, registry: Registry, issuer: Issuer) -> None:
        self.issuer, self.clock, self.changes = issuer, Clock(NOW), list[Change]()
        http = httpx.AsyncClient(transport=httpx.ASGITransport(issuer.app))
        keys = SigningKeys(Known(), http=http, freshness=registry.freshness, clock=Clock(0))
        self.logouts = Logouts(
            keys, issuer=ISSUER, clients=lambda: registry.initiating_clients, apply=self._apply, clock=self.clock
        )
        self._made = 0

    async def _apply(self, change: Change) -> None:
        self.changes.append(change)

    def token(self, *, header: dict[str, Any] | None = None, issuer: Issuer | None = None, **changed: Any) -> str:
        """One as Keycloak 26.7.5 was seen to send it, with `changed` claims; None leaves a claim out."""
        self._made += 1
        good = {
            "exp": NOW + 120,
            "iat": NOW,
            "jti": f"7d701d80-9181-e4f3-f52c-{self._made:012}",
            "iss": ISSUER,
            "aud": "walkthrough",
            "sub": "a11ce000-0000-4000-8000-000000000000",
            "typ": "Logout",
            "sid": "EaljfVbAlVP_8ndDietyi2Jm",
            "events": {EVENT: {}},
        }
        claims = {name: value for name, value in (good | changed).items() if value is not None}
        return (issuer or self.issuer).sign(claims, header={"typ": "logout+jwt"} | (header or {}))

    async def bring(self, token: str) -> None:
        await self.logouts.receive(urlencode({"logout_token": token}).encode())

    async def refusal(self, token: str) -> ReasonCode:
        with pytest.raises(Denied) as refused:
            await self.bring(token)
        assert self.changes == []
        return refused.value.reason


@pytest.fixture
def door(registry: Registry, issuer: Issuer) -> Door:
    return Door(registry, issuer)


async def test_the_session_that_it_names_is_revoked(door: Door) -> None:
    await door.bring(door.token())

    [change] = door.changes
    assert change == Change(("session", "EaljfVbAlVP_8ndDietyi2Jm"), "keycloak: logout")
    alice = "a11ce000-0000-4000-8000-000000000000"
    assert change.instead == ("before", f"{int(NOW)} {alice}")  # for a user who has too many


@pytest.mark.parametrize(
    "how",
    [
        {"sub": None},
        {"aud": ["zt"]},
        {"iat": NOW + CLOCK_SKEW},
        {"typ": None},
        {"header": {"typ": "application/logout+jwt"}},
        {"header": {"typ": "Logout+JWT"}},
    ],
)
async def test_what_may_be_otherwise(door: Door, how: dict[str, Any]) -> None:
    await door.bring(door.token(**how))

    assert len(door.changes) == 1


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": None}, Reason.BAD_CLAIM),
        ({"aud": ["walkthrough", "zt"]}, Reason.AUDIENCE_MISMATCH),
        ({"aud": []}, Reason.AUDIENCE_MISMATCH),
        ({"aud": None}, Reason.BAD_CLAIM),
        ({"iat": NOW + CLOCK_SKEW + 1}, Reason.NOT_YET_VALID),
        ({"iat": NOW - MAX_AGE, "exp": NOW + 9999}, Reason.EXPIRED),
        ({"iat": None}, Reason.BAD_CLAIM),
        ({"iat": str(NOW)}, Reason.BAD_CLAIM),
        ({"exp": NOW}, Reason.EXPIRED),
        ({"exp": None}, Reason.BAD_CLAIM),
        ({"jti": None}, Reason.BAD_CLAIM),
        ({"events": None}, Reason.BAD_CLAIM),
        ({"events": {}}, Reason.BAD_CLAIM),
        ({"events": {EVENT: None}}, Reason.BAD_CLAIM),
        ({"events": {EVENT: {}, "https://elsewhere.test/event": {}}}, Reason.BAD_CLAIM),
        ({"nonce": ""}, Reason.BAD_CLAIM),
        ({"sid": None}, Reason.BAD_CLAIM),
        ({"sid": "two words"}, Reason.BAD_CLAIM),
    ],
)
async def test_what_it_says_has_to_be_right(door: Door, changed: dict[str, Any], reason: ReasonCode) -> None:
    assert await door.refusal(door.token(**changed)) is reason


async def test_a_claim_given_twice_is_none(door: Door) -> None:
    raw = b'{"alg":"RS256","typ":"logout+jwt","kid":"k1"}'
    twice = b'{"iss":"%s","iss":"%s"}' % (ISSUER.encode(), ISSUER.encode())

    assert await door.refusal(door.issuer.sign_bytes(raw, twice)) is Reason.BAD_CLAIM


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJ9.e30."])
async def test_what_is_no_token_is_refused(door: Door, token: str) -> None:
    assert await door.refusal(token) is Reason.MALFORMED_TOKEN


# --- once -------------------------------------------------------------------------------------------------------------


async def test_it_is_good_once_and_for_as_long_as_it_would_be_believed(door: Door) -> None:
    token = door.token(exp=NOW + 10 * MAX_AGE)
    await door.bring(token)
    door.changes.clear()

    assert await door.refusal(token) is Reason.BAD_CLAIM
    door.clock.now = NOW + MAX_AGE - 1
    assert await door.refusal(token) is Reason.BAD_CLAIM
    door.clock.now = NOW + MAX_AGE
    assert await door.refusal(token) is Reason.EXPIRED


async def test_what_is_remembered_has_an_end(door: Door) -> None:
    for _ in range(3):
        await door.bring(door.token())
    door.clock.now = NOW + MAX_AGE
    await door.bring(door.token(iat=NOW + MAX_AGE, exp=NOW + 2 * MAX_AGE))

    assert len(door.logouts._seen) == 1


# --- the form ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"logout_token", b"token=x", b"logout_token=x&logout_token=y", "logout_token=ä".encode()]
)
async def test_the_form_has_one_logout_token(door: Door, body: bytes) -> None:
    with pytest.raises(Denied) as refused:
        await door.logouts.receive(body)

    assert refused.value.reason is Reason.MALFORMED_BODY
