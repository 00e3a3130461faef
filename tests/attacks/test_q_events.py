"""Q. What happens at Keycloak and nobody would hear of, as the registry's reader of events meets it."""

from pathlib import Path

from authorities.registry.keycloak.poll import Reader
from tests.support.attack import Attempt, Scene, Tries, attack
from tests.support.keycloak_events import NOW, OWN, Applied, Keycloak


class Heard(Scene):
    """A Keycloak, the reader of its events, and what was revoked."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.keycloak, self.applied = Keycloak(), Applied()
        self._reader = Reader(self.keycloak, self.applied, own=OWN, since=NOW / 1000, clock=lambda: NOW / 1000)
        self.keycloak.login("alice's", at=NOW - 60_000)
        self.keycloak._user("CLIENT_LOGIN", "", NOW - 5_000, "the registry")

    async def read(self) -> Attempt:
        """Read everything; the attack has succeeded if alice's session goes on."""
        await self._reader.read()
        causes = [str(change.cause) for change in self.applied.changes if change.subject != ("before", "0")]
        return Attempt(", ".join(causes) or "nothing revoked", not causes)


@attack(160, Heard)
async def test_a_password_is_changed_in_a_way_that_keycloak_does_not_record(heard: Heard) -> Tries:
    """`PUT /users/ID` with `credentials`: Keycloak 26.7.5 records an update of nothing."""
    heard.keycloak.admin("UPDATE", "USER", "users/alice", "{}")
    yield await heard.read()


@attack(161, Heard)
async def test_events_are_cleared_while_there_is_nothing_but_sign_ins(heard: Heard) -> Tries:
    """Without them nobody would find her sessions when she leaves a group."""
    assert (await heard.read()).succeeded  # nothing has happened yet
    heard.keycloak.users.clear()
    heard.keycloak.admin("DELETE", "GROUP_MEMBERSHIP", "users/alice/groups/engineering")
    yield await heard.read()


@attack(162, Heard)
async def test_a_second_factor_is_removed_and_the_sessions_go_on(heard: Heard) -> Tries:
    """Whoever has stolen a session removes what would keep them out, or signs in by a link of their own."""
    for kind in ("REMOVE_CREDENTIAL", "REMOVE_TOTP", "FEDERATED_IDENTITY_LINK"):
        heard.applied.changes.clear()
        heard.keycloak._user(kind, "", NOW)
        yield await heard.read()
