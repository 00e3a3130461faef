"""The checks.  Each first does what must be granted, so that a refusal is of what is tried, and of nothing else.

A check that cannot be tried is skipped with what is missing, and never passes.
"""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from testkit.delegation.issuer import NO_JWT, TOKEN_TYPE, Claims, Client, Issuer, Key, claims

NOBODY = "https://nobody.example"


@pytest.fixture
def issuer(delegation_issuer: Issuer) -> Issuer:
    """Return the issuer by a shorter name."""
    return delegation_issuer


def scopes(said: Claims) -> set[str]:
    """Return the claim `scope` as a set."""
    return set(str(said.get("scope", "")).split())


def audiences(said: Claims) -> list[str]:
    """Return the claim `aud` as a list."""
    aud = said.get("aud", [])
    return [aud] if isinstance(aud, str) else list(aud)


def chained(issuer: Issuer, token: str) -> list[str]:
    """Return a token's chain; without one there is nothing to lose."""
    if not (actors := issuer.chain(claims(token))):
        pytest.skip(f"no token has the claim {issuer.chain_claim}")
    return actors


# the chain grows by the exchanging client alone
def test_an_exchange_adds_the_client_that_asks(issuer: Issuer) -> None:
    before, after = (claims(token) for token in issuer.tokens(1))
    assert issuer.chain(before) == []
    assert issuer.chain(after) == [issuer.client(0).actor]
    assert after["sub"] == before["sub"]


def test_the_next_exchange_adds_the_next_client(issuer: Issuer) -> None:
    _, before, after = (claims(token) for token in issuer.tokens(2))
    assert issuer.chain(after) == [issuer.client(1).actor, *issuer.chain(before)]
    assert after["sub"] == before["sub"]


# nobody shortens, forges or launders it
def test_a_client_cannot_name_another_actor(issuer: Issuer) -> None:
    _, t1, t2 = issuer.tokens(2)
    expected = chained(issuer, t2)
    tries = [{"actor_token": t1, "actor_token_type": f"{TOKEN_TYPE}access_token"}]  # of the client before
    for name in {"act", issuer.chain_claim, "actor", "requested_actor"}:
        tries += [{name: NOBODY}, {name: f'{{"sub": "{NOBODY}"}}'}]

    answers = [issuer.exchange(1, t1, None, **fields) for fields in tries]

    assert [one for one in answers if one and issuer.chain(one.claims) != expected] == []


def test_a_token_that_the_issuer_did_not_sign_is_refused(issuer: Issuer) -> None:
    t1 = issuer.tokens(2)[1]
    forged = claims(t1) | {"jti": "forged", issuer.chain_claim: {"sub": NOBODY}}
    own = ec.generate_private_key(ec.SECP256R1())
    public: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(own.public_key(), as_dict=True)
    named = {name: value for name, value in jwt.get_unverified_header(t1).items() if name in {"typ", "kid"}}
    unsigned, (head, _, signature) = jwt.encode(forged, "", "none", headers=named), t1.split(".")
    tries = {
        "edited": f"{head}.{unsigned.split('.')[1]}.{signature}",
        "not signed": unsigned,
        "a key of one's own": jwt.encode(forged, own, "ES256", headers=named),
        "a key in the token": jwt.encode(forged, own, "ES256", headers=named | {"jwk": public}),
    }

    assert [how for how, token in tries.items() if issuer.exchange(1, token)] == []


def test_exchanging_its_own_token_shortens_no_chain(issuer: Issuer) -> None:
    t2 = issuer.tokens(2)[-1]
    before = chained(issuer, t2)
    answer = issuer.exchange(1, t2)
    assert not answer or issuer.chain(answer.claims)[-len(before) :] == before


def test_no_other_kind_of_token_loses_the_chain(issuer: Issuer) -> None:
    _, t1, t2 = issuer.tokens(2)
    before, lost = chained(issuer, t2), []
    for kind in ("id_token", "refresh_token", "jwt"):
        if got := issuer.exchange(1, t1, requested_token_type=TOKEN_TYPE + kind):
            tries = [issuer.exchange(2, got.token, subject_token_type=TOKEN_TYPE + of) for of in (kind, "access_token")]
            tries += [issuer.refresh(issuer.client(1), got.said.get("refresh_token", got.token))]
            lost += [kind for one in tries if one and issuer.chain(one.claims)[-len(before) :] != before]

    assert lost == []


def test_no_other_grant_makes_a_chain(issuer: Issuer) -> None:
    t1, client, form = issuer.tokens(1)[1], issuer.client(1), {"grant_type": "client_credentials"}
    if not issuer.ask(client, **form):
        pytest.skip("no client gets a token of its own")

    form |= {"subject_token": t1, "subject_token_type": f"{TOKEN_TYPE}access_token"}

    assert issuer.chain(issuer.ask(client, **form).claims) == []


# scope, lifetime and audience only shrink
def test_a_scope_that_was_given_up_is_not_granted_again(issuer: Issuer) -> None:
    both, spent = " ".join(issuer.scopes), issuer.scopes[1]
    first = issuer.user().access_token
    wide, narrow = issuer.exchange(0, first, scope=both), issuer.tokens(1, first)[1]
    if not wide or spent not in scopes(issuer.exchange(1, wide.token, scope=both).claims):
        pytest.skip(f"{issuer.client(1).client_id} never gets {spent}")

    assert [one for one in (both, spent) if spent in scopes(issuer.exchange(1, narrow, scope=one).claims)] == []


def test_an_exchange_that_names_no_scope_adds_none(issuer: Issuer) -> None:
    t1 = issuer.tokens(2)[1]
    assert scopes(issuer.exchange(1, t1, scope=None).claims) <= scopes(claims(t1))


def test_no_token_outlives_its_parent(issuer: Issuer) -> None:
    tokens = issuer.tokens(1)
    issuer.wait(1.1)  # an equal life that begins anew ends a second later
    tokens += issuer.tokens(1, tokens[-1], who=1)[1:]
    t0, t1, t2 = (claims(token)["exp"] for token in tokens)

    assert t2 <= t1 <= t0
    if t2 < t1:
        pytest.skip("the second client's tokens live shorter than the first's anyway: let them live as long")


def test_a_token_is_for_the_requested_audience_alone(issuer: Issuer) -> None:
    _, t1, t2 = issuer.tokens(2)
    assert [audiences(claims(token)) for token in (t1, t2)] == [[issuer.client(n).audience] for n in (1, 2)]


def test_an_unregistered_audience_is_not_granted(issuer: Issuer) -> None:
    answer = issuer.exchange(1, issuer.tokens(2)[1], audience=NOBODY)
    assert NOBODY not in audiences(answer.claims)


def test_an_exchange_that_names_no_audience_opens_one_at_most(issuer: Issuer) -> None:
    answer = issuer.exchange(1, issuer.tokens(2)[1], audience=None)
    assert len(audiences(answer.claims)) <= 1


# only a named holder exchanges
def test_a_client_outside_the_audience_exchanges_nothing(issuer: Issuer) -> None:
    answer = issuer.exchange(1, issuer.tokens(2)[0])
    assert not answer


def test_a_client_without_its_own_credential_exchanges_nothing(issuer: Issuer) -> None:
    t1, (other, client) = issuer.tokens(2)[1], issuer.clients[:2]
    shown = {"none": {}, "another's": other.form}
    assert [how for how, form in shown.items() if issuer.exchange(1, t1, form | {"client_id": client.client_id})] == []


# refresh keeps the binding
def test_a_refresh_needs_the_key_of_the_sign_in(issuer: Issuer) -> None:
    if issuer.user_client.credential():
        pytest.skip("the user's client has a credential, so no key binds its refresh tokens (RFC 9449 section 5)")
    user = issuer.user(bind=True)
    if not user.refresh_token or not user.key:
        pytest.skip("the user gets no refresh token that is bound to a key")

    def bound(token: str) -> list[str]:
        return [claim["jkt"] for claim in claims(token).values() if isinstance(claim, dict) and "jkt" in claim]

    wrong = [issuer.refresh(issuer.user_client, user.refresh_token, key) for key in (Key(), None)]
    assert not any(wrong)
    answer = issuer.refresh(issuer.user_client, user.refresh_token, user.key)
    assert answer, answer.refusal
    if not claims(user.access_token):
        pytest.skip(NO_JWT)
    assert bound(answer.token) == bound(user.access_token) != []


def test_a_refresh_token_is_good_for_its_own_client_alone(issuer: Issuer) -> None:
    user = issuer.user()
    if not user.refresh_token:
        pytest.skip("the user gets no refresh token")
    good = issuer.refresh(issuer.user_client, user.refresh_token, user.key)
    assert good, good.refusal

    others = {"another client": issuer.client(1)}
    if issuer.user_client.credential():
        others["no credential"] = Client(client_id=issuer.user_client.client_id)
    token = good.said.get("refresh_token", user.refresh_token)

    assert [who for who, client in others.items() if issuer.refresh(client, token, user.key)] == []


# a revoked session, user, client or ancestor ends the chain
@pytest.mark.parametrize("what", ["session", "user", "client", "ancestor"])
@pytest.mark.parametrize("way", ["exchanged", "introspected"])
def test_revoked(issuer: Issuer, way: str, what: str) -> None:
    tokens = issuer.tokens(2)
    ask = issuer.exchange if way == "exchanged" else issuer.introspected
    # A client that is revoked neither asks nor is asked for: that would say nothing about what comes from it.
    tried = [who for who in (1, 2) if what != "client" or {who, who + 1} <= {*range(1, len(issuer.clients))}]
    holders = [who for who in tried if ask(who, tokens[who])]
    if not holders:
        pytest.skip("introspection calls no token active" if tried else "a third client is needed")

    with issuer.revoked(what, tokens[0]):
        still = [issuer.client(who).client_id for who in holders if ask(who, tokens[who])]

    assert still == []  # outside, so that what was revoked is restored first


# depth is bounded; introspection tells the same chain
def test_a_chain_has_an_end(issuer: Issuer) -> None:
    token, actors = issuer.tokens(1)[0], 0
    while actors <= issuer.max_actors and (answer := issuer.exchange(actors, token)):
        token, actors = answer.token, actors + 1
        if len(issuer.chain(answer.claims)) != actors:
            pytest.skip(f"the chain in {issuer.chain_claim} does not grow")

    assert actors <= issuer.max_actors
    if actors == len(issuer.clients):
        pytest.skip(f"no client acts twice, and there are only {actors}: name {issuer.max_actors + 1}")


def test_introspection_tells_the_same_chain(issuer: Issuer) -> None:
    t2 = issuer.tokens(2)[-1]
    assert issuer.chain(issuer.introspected(2, t2)) == chained(issuer, t2)
