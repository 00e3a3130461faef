"""A system that gives nobody anything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lab.before.system import Answer, Credentials, Refused, Session


class Closed:
    """A system that gives nobody anything; what it says is `said`."""

    patience = 0.0

    def __init__(self, said: str = "401 no", *, gives: bool = True) -> None:
        self.said, self.gives = said, gives

    async def sign_in(self, user: str) -> Session:
        return Session(user, {}, 60)

    async def sign_out(self, session: Session) -> None:
        pass

    async def task(self, credentials: Credentials, request: str) -> Answer:  # noqa: ARG002
        return Answer(self.said)

    async def refusals(self) -> list[tuple[str, str, str]]:
        return [("agent/reader", "document.read", "resource_denied")]

    async def credentials(self, session: Session, holder: str, target: str) -> Credentials:  # noqa: ARG002
        if not self.gives:
            raise Refused(self.said)
        return {}

    async def call(self, target: str, credentials: Credentials, *, by: str | None) -> Answer:  # noqa: ARG002
        return Answer(self.said)

    async def tool(self, name: str, credentials: Credentials, *, by: str | None, **arguments: str) -> Answer:  # noqa: ARG002
        return Answer(self.said)

    async def identity(self) -> Credentials:
        return await self.credentials(Session("", {}, 0), "", "")

    @asynccontextmanager
    async def changed_code(self, agent: str) -> AsyncIterator[None]:  # noqa: ARG002
        yield

    async def document_text(self, document: str) -> str:  # noqa: ARG002
        return "as it was"

    async def tool_record(self) -> list[str]:
        return ["read, for alice through the reader"]

    async def reset(self) -> None:
        pass
