"""O. What one caller costs the others at a door: the one where attestation shows its public keys, to anybody."""

from authorities.attestation.spiffe.bundle import MOST_ANSWERED
from tests.support.attack import Attempt, Tries, attack
from tests.support.attack_bundle import KeysDoor, client_hello, keys_door
from zerotrust.hardening.accepting import MOST_SILENT

MORE = 16


@attack(147, keys_door)
async def test_connections_that_say_nothing(target: KeysDoor) -> Tries:
    async with target.connections(MOST_SILENT + MORE):
        assert await target.keys() == 2
        silent, _ = target.held
        yield Attempt("no more places", silent > MOST_SILENT)
    assert target.complaints == []


@attack(148, keys_door)
async def test_handshakes_that_are_begun_and_not_finished(target: KeysDoor) -> Tries:
    async with target.connections(MOST_ANSWERED + MORE, saying=client_hello()):
        assert await target.keys() == 2
        _, answered = target.held
        yield Attempt("no more places", answered > MOST_ANSWERED)
    assert target.complaints == []


@attack(149, keys_door)
async def test_whoever_keeps_all_places(target: KeysDoor) -> Tries:
    """Every place is taken by somebody who has said something and says no more."""
    for first, by in (
        (client_hello(), "oldest-handshake-ends"),
        (client_hello()[:5], "row 147: silent-connections-bounded"),
        (b"GET", "a connection without a handshake is ended"),
    ):
        async with target.connections(MOST_ANSWERED + MORE, saying=first):
            yield Attempt("served", await target.keys() != 2).stopped_by(by)
    assert target.complaints == []
