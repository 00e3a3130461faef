"""C. Issuer, audience, time and claims: all of these tokens are genuine, and each is wrong in one point."""

from dataclasses import replace
from typing import Any

from tests.support.attack import DOORS, Target, Tries, attack, tool_call
from tests.support.issuer import ISSUER, metadata
from tests.support.system import CHAIN
from zerotrust.decision import Reason
from zerotrust.token_validation import CLOCK_SKEW


@attack(27)
async def test_a_token_for_one_party_at_another(target: Target) -> Tries:
    """Everybody's token at everybody else's door; and once more, right for that door in all but its audience."""
    for here in DOORS:
        assert (await target.send(here, target.token(here))).handled
        for elsewhere in DOORS.keys() - {here}:
            yield await target.send(here, target.token(elsewhere))
            yield await target.send(here, target.token(here, aud=target.issuer.registry.id(elsewhere)))
        for nobodys in ("account", "walkthrough", "realm-management", ISSUER, metadata()["token_endpoint"]):
            yield await target.send(here, target.token(here, aud=nobodys))


@attack(28)
async def test_an_audience_that_is_not_this_party_alone(target: Target) -> Tries:
    for party in DOORS:
        me = target.issuer.registry.id(party)
        assert (await target.send(party, target.token(party, aud=[me]))).handled
        for audience in (
            [me, "https://attacker.test"],
            ["https://attacker.test", me],
            [me, me],
            [],
            "",
            "*",
            me[:-1],
            f"{me}.attacker.test",
            f"{me}/",
            f"{me}/x",
            f"{me} ",
            f"{me}#x",
            f"{me}?x",
            me.upper(),
            me.replace("agents.example", "agents.example:8080"),
            me.replace("spiffe://", "https://"),
            me.replace("e", "\u0435"),  # a Cyrillic one
            party,
            target.system.addresses[party],
        ):
            yield await target.send(party, target.token(party, aud=audience))
        yield await target.send(party, target.token(party, aud=None), reason=Reason.BAD_CLAIM)


@attack(29)
async def test_a_token_of_another_issuer(target: Target) -> Tries:
    """Each is signed by a key of ours: a key that is known does not say who issued."""
    for party in DOORS:
        for issuer in (
            "http://elsewhere.test",
            ISSUER.replace("agents", "master"),
            f"{ISSUER}/",
            ISSUER.upper(),
            ISSUER.replace("https:", "http:"),
            f"{ISSUER}.attacker.test",
            "",
        ):
            yield await target.send(party, target.token(party, iss=issuer))
        yield await target.send(party, target.token(party, iss=None), reason=Reason.BAD_CLAIM)


@attack(30)
async def test_a_token_after_its_end(target: Target) -> Tries:
    now = int(target.clock.now)
    for party in DOORS:
        for ended in (0, 1, CLOCK_SKEW - 1, 3600):  # no leeway here
            tried = await target.send(party, target.token(party, iat=now - ended - 60, exp=now - ended))
            yield tried.stopped_by("token-expiry")
    known = {party: target.token(party) for party in DOORS}
    for party, token in known.items():
        assert (await target.send(party, token)).handled
    target.clock.now += 60
    for party, token in known.items():
        yield await target.send(party, token, by="cached-token-in-time")


@attack(31)
async def test_a_token_without_a_claim(target: Target) -> Tries:
    for party in DOORS:
        for name in ("iss", "aud", "sub", "azp", "client_id", "jti", "sid", "iat", "exp"):
            yield await target.send(party, target.token(party, **{name: None}))


@attack(32)
async def test_a_life_that_nobody_may_have(target: Target) -> Tries:
    now = int(target.clock.now)
    lives: list[dict[str, Any]] = [
        {"exp": 2**33 - 1},  # the latest time that a claim may name
        {"exp": now + 24 * 3600},
        {"exp": now + 303},  # more than the longest life there is
        {"iat": now - 400, "exp": now + 60},
        {"iat": now + 3, "exp": now + 2},
        {"iat": now + 3, "exp": now + 3},
        {"nbf": now + 3, "exp": now + 2},
    ]
    for party in DOORS:
        for times in lives:
            yield await target.send(party, target.token(party, **times))


@attack(33)
async def test_a_token_before_its_time_and_one_after_it_by_a_clock_that_was_set_back(target: Target) -> Tries:
    for party in DOORS:
        now = int(target.clock.now)
        soon: list[dict[str, Any]] = [{"iat": now + CLOCK_SKEW, "exp": now + 60}, {"nbf": now + CLOCK_SKEW}]
        for times in soon:
            assert (await target.send(party, target.token(party, **times))).handled
        too_soon: list[dict[str, Any]] = [
            {"iat": now + CLOCK_SKEW + 1, "exp": now + 60},
            {"nbf": now + CLOCK_SKEW + 1},
            {"iat": now + 3600, "exp": now + 3660},
        ]
        for times in too_soon:
            yield await target.send(party, target.token(party, **times), by="token-not-before")
        known, fresh = target.token(party), target.token(party)
        assert (await target.send(party, known)).handled
        target.clock.now += 60
        assert not (await target.send(party, known)).handled
        target.clock.now -= 50
        for token in known, fresh:
            yield await target.send(party, token, reason=Reason.EXPIRED, by="clock-non-decreasing")


@attack(34)
async def test_a_user_who_is_none(target: Target) -> Tries:
    """A name that could mean more than one user, break a line, or be a party that has no user at all."""
    for party in DOORS:
        for name in (
            "",
            " ",
            "alice ",
            "alice\r\nbob",
            "alice\0",
            "\u0430lice",
            "alice\u200b",
            "\u202ealice",
            "a" * 5000,
        ):
            yield await target.send(party, target.token(party, sub=name), by="claims-valid (of any subject)")
        for one in target.issuer.registry.parties:
            tried = await target.send(party, target.token(party, sub=target.issuer.registry.id(one)))
            yield tried.stopped_by("subject-is-no-party")
    filed = await target.send("tool/documents", target.writing(), body=tool_call("create", title="x", text="alice's"))
    draft = filed.answer.json()["result"]["structuredContent"]["id"]
    for name in ("*", "admin", "root", "Alice", "alice*", "alic_", "%"):
        body = tool_call("replace", id=draft, text="mine")
        tried = await target.send("tool/documents", target.writing(sub=name), body=body, reason=Reason.RESOURCE_DENIED)
        tried.effect = target.system.documents()[draft]["text"] != "alice's"
        yield tried.stopped_by("changes-draft", "changes-own")


@attack(35)
async def test_a_token_that_was_issued_to_somebody_else_than_who_acts(target: Target) -> Tries:
    for party in DOORS:
        holder = target.claims(party)["azp"]
        for actor in ("orchestrator", "agent/reader", "agent/writer", "inference"):
            name = target.issuer.registry.id(actor)
            chains: list[dict[str, Any]] = [{"sub": name}, {"sub": name, "act": {"sub": holder}}]
            for act in chains if name != holder else []:
                lineage = ["ancestor-0", "ancestor-1"][: 2 if "act" in act else 1]
                token = target.token(party, **{CHAIN: act}, lineage=lineage, txn="ancestor-0")
                yield await target.send(party, token)


@attack(413)
async def test_a_token_without_groups_is_not_that_of_a_user_in_none(target: Target) -> Tries:
    """Whoever issued it has not read them: a rule for users outside of a group must not take it for theirs."""
    for party in DOORS:
        tried = await target.send(party, target.token(party, groups=None))
        yield replace(tried, effect=tried.handled or Reason.POLICY_DENIED in tried.reasons)


@attack(127)
async def test_a_token_that_names_two_clients(target: Target) -> Tries:
    """A standard validator reads `client_id` (RFC 9068 section 2.2), Keycloak's adapters `azp`."""
    for party in DOORS:
        holder = target.claims(party)["azp"]
        for name in target.issuer.registry.parties:
            other = target.issuer.registry.id(name)
            if other != holder:
                yield await target.send(party, target.token(party, client_id=other))
        for other in (holder.upper(), f"{holder}/", holder[:-1], "nobody"):
            yield await target.send(party, target.token(party, client_id=other))
