"""A Keycloak that keeps events, and what was done for each."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from keycloak import KeycloakAdmin

from authorities.registry.keycloak.admin import Administration, AdministrationError
from authorities.registry.keycloak.events import RECORDED, Change

OWN, READER = "spiffe://agents.example/authority/registry", "spiffe://agents.example/agent/reader"
NOW = 1_795_563_637_000
Json = dict[str, Any]


class Connection:
    realm_name = "agents"

    def __init__(self, config: Json, sessions: dict[str, list[Json]]) -> None:
        self.config, self.sessions, self.evaluated, self.status = config, sessions, list[str](), 200

    async def a_raw_get(self, path: str, **query: str) -> Any:
        _, _, asked = path.partition("admin/realms/agents/")
        match asked.split("/"):
            case ["events", "config"]:
                return Answer(self.config)
            case ["users", user, "sessions"]:
                known = self.sessions.get(user)
                return Answer(known) if known is not None else Answer({"error": "User not found"}, 404)
            case ["clients", client, "evaluate-scopes", "generate-example-access-token"]:
                self.evaluated.append(f"{client} for {query['userId']}")
                return Answer({}, self.status)
        raise AssertionError(path)


class Answer:
    content = b"something"

    def __init__(self, content: Any, status_code: int = 200) -> None:
        self._content, self.status_code = content, status_code

    def json(self) -> Any:
        return self._content


class Keycloak(Administration):
    """Keeps events as Keycloak does, and gives the newest or the oldest first, as many as it is asked for."""

    def __init__(self) -> None:
        self.users, self.admins = list[Json](), list[Json]()
        self.clients: list[Json] = [{"id": "own", "clientId": OWN}, {"id": "reader", "clientId": READER}]
        self.config: Json = {
            "eventsEnabled": True,
            "adminEventsEnabled": True,
            "adminEventsDetailsEnabled": True,
            "enabledEventTypes": list(RECORDED),
        }
        self.sessions: dict[str, list[Json]] = {"alice": []}
        self.connection = Connection(self.config, self.sessions)
        self.asked = list[Json]()
        self.now = NOW
        self.down: str | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[KeycloakAdmin]:
        if self.down:
            raise AdministrationError(self.down)
        yield cast("KeycloakAdmin", self)

    async def a_get_events(self, query: Json) -> list[Json]:
        of_user = [event for event in self.users if query.get("user") in (None, event["userId"])]
        return self._page([event for event in of_user if event["type"] in query["type"]], query)

    async def a_get_admin_events(self, query: Json) -> list[Json]:
        return self._page(self.admins, query)

    def _page(self, events: list[Json], query: Json) -> list[Json]:
        self.asked.append(query)
        since, most = int(query["dateFrom"]), int(query["max"])
        back = -1 if query.get("direction", "desc") == "desc" else 1
        found = sorted((event for event in events if event["time"] >= since), key=lambda e: back * int(e["time"]))
        self.meanwhile()
        return found[:most]

    async def a_get_users(self, query: Json) -> list[Json]:
        return [{"id": "alice"}, {"id": "bob"}][: query["max"]]

    async def a_get_clients(self) -> list[Json]:
        return self.clients

    def logout(self, session: str, *, at: int = NOW) -> None:
        self._user("LOGOUT", session, at)

    def login(self, session: str, *, at: int, user: str = "alice") -> None:
        self._user("LOGIN", session, at, user)

    def _user(self, kind: str, session: str, at: int, user: str = "alice") -> None:
        event = {"id": f"{kind} {session} {at}", "time": at, "type": kind, "userId": user, "sessionId": session}
        self.users.append(event)

    def admin(self, done: str, kind: str, path: str, said: str = "{}", *, at: int = NOW, client: str = "other") -> None:
        self.admins.append(
            {
                "id": f"{done} {path} {at}",
                "time": at,
                "operationType": done,
                "resourceType": kind,
                "resourcePath": path,
                "representation": said,
                "authDetails": {"clientId": client},
            }
        )


class Applied:
    def __init__(self) -> None:
        self.changes = list[Change]()
        self.fails = 0

    async def __call__(self, change: Change) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError("no space left")
        self.changes.append(change)

    @property
    def names(self) -> list[str]:
        return [change.subject[1] for change in self.changes]
