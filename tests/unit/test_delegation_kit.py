"""The delegation kit: an issuer that is right passes every check, and one that is wrong in one thing fails one."""

from functools import partial

import pytest

from testkit.delegation import Client, Issuer
from testkit.delegation.issuer import NO_JWT
from tests.support.delegation import CHECKS, Fake, outcome

WHAT = ["session", "user", "client", "ancestor"]

WRONG = {
    "chain begins with the audience": "an exchange adds the client that asks",
    "chain starts anew": "the next exchange adds the next client",
    "actor token": "a client cannot name another actor",
    "actor field": "a client cannot name another actor",
    "edited": "a token that the issuer did not sign is refused",
    "no signature": "a token that the issuer did not sign is refused",
    "key in the token": "a token that the issuer did not sign is refused",
    "own token": "exchanging its own token shortens no chain",
    "id_token without the chain": "no other kind of token loses the chain",
    "refresh_token without the chain": "no other kind of token loses the chain",
    "any grant": "no other grant makes a chain",
    "scope again": "a scope that was given up is not granted again",
    "all scopes": "an exchange that names no scope adds none",
    "longer life": "no token outlives its parent",
    "one more audience": "a token is for the requested audience alone",
    "unknown audience": "an unregistered audience is not granted",
    "all audiences": "an exchange that names no audience opens one at most",
    "any holder": "a client outside the audience exchanges nothing",
    "none credential": "a client without its own credential exchanges nothing",
    "another's credential": "a client without its own credential exchanges nothing",
    "refresh with any key": "a refresh needs the key of the sign in",
    "refresh without a key": "a refresh needs the key of the sign in",
    "refresh unbinds": "a refresh needs the key of the sign in",
    "refresh by another client": "a refresh token is good for its own client alone",
    **{f"{way} after {what}": f"revoked, {way}, {what}" for way in ("exchanged", "introspected") for what in WHAT},
    "no end": "a chain has an end",
    "introspection shortens": "introspection tells the same chain",
}


ALONE = "a refresh token is good for its own client alone"
LACKS = {
    "no own token": {"no other grant makes a chain": "no client gets a token of its own"},
    "one scope": {"a scope that was given up is not granted again": "b never gets write"},
    "shorter life": {"no token outlives its parent": "the second client's tokens live shorter"},
    "acts once": {"a chain has an end": "no client acts twice, and there are only 4: name 9"},
    "no refresh": {
        "a refresh needs the key of the sign in": "the user gets no refresh token that is bound",
        ALONE: "the user gets no refresh token",
    },
    "opaque": {name: NO_JWT for name in CHECKS if name != ALONE},
    "never active": {f"revoked, introspected, {what}": "introspection calls no token active" for what in WHAT},
}


def each(issuer: Issuer) -> dict[str, tuple[str, str]]:
    return {name: outcome(check, issuer) for name, check in CHECKS.items()}


def test_an_issuer_that_is_right_passes_every_check() -> None:
    assert each(Fake().issuer()) == dict.fromkeys(CHECKS, ("yes", ""))


def test_for_each_check_there_is_an_issuer_that_is_wrong() -> None:
    assert set(WRONG.values()) == set(CHECKS)


@pytest.mark.parametrize("wrong", WRONG)
def test_an_issuer_that_is_wrong_in_one_thing_fails_that_check_and_no_other(wrong: str) -> None:
    told = each(Fake(wrong).issuer())

    assert [name for name, (said, _) in told.items() if said == "no"] == [WRONG[wrong]], told


@pytest.mark.parametrize("lack", LACKS)
def test_what_an_issuer_lacks_is_skipped_by_its_name(lack: str) -> None:
    told = {name: why for name, (said, why) in each(Fake(lack).issuer()).items() if said == "-"}

    assert list(told) == list(LACKS[lack])
    assert all(told[name].startswith(why) for name, why in LACKS[lack].items()), told


def test_what_there_is_no_way_to_try_is_skipped_and_says_what_is_missing() -> None:
    fake = Fake()
    issuer = fake.issuer(metadata={"token_endpoint": fake.metadata["token_endpoint"]}, revoke={}, chain_claim="none")

    told = {name: why for name, (said, why) in each(issuer).items() if said == "-"}

    assert {why: [name for name in told if told[name] == why] for why in told.values()} == {
        "no token has the claim none": [
            "a client cannot name another actor",
            "exchanging its own token shortens no chain",
            "no other kind of token loses the chain",
        ],
        "the chain in none does not grow": ["a chain has an end"],
        "there is no introspection_endpoint": [
            *(f"revoked, introspected, {what}" for what in WHAT),
            "introspection tells the same chain",
        ],
        "there is no revocation_endpoint": ["revoked, exchanged, ancestor"],
        **{f"the way to revoke a {what} is not configured": [f"revoked, exchanged, {what}"] for what in WHAT[:3]},
    }


@pytest.mark.parametrize(("issuer", "told"), [("confidential", "yes"), ("refresh with any key", "no")])
def test_a_credential_binds_refresh_tokens_in_place_of_a_key(issuer: str, told: str) -> None:
    shop = Client(client_id="shop", credential=partial(dict, client_secret="of shop"))

    said, why = outcome(CHECKS["a refresh needs the key of the sign in"], Fake(issuer).issuer(user_client=shop))

    assert said == "-"
    assert why.startswith("the user's client has a credential")
    assert outcome(CHECKS[ALONE], Fake(issuer).issuer(user_client=shop))[0] == told


def test_an_issuer_that_fails_has_refused_nothing() -> None:
    told = each(Fake("error").issuer())

    assert told["a token that the issuer did not sign is refused"][1].startswith("token_endpoint neither grants nor")


def test_a_token_that_ends_while_it_is_tried_was_not_refused() -> None:
    fake = Fake()
    ended = fake.issued("shop", "", ["a"], 1, sub="sam", scope="read")["access_token"]

    with pytest.raises(pytest.fail.Exception, match="ended while it was tried"):
        fake.issuer().exchange(0, ended)
