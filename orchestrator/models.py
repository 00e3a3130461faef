"""The models of the inference service: listed with the user's right to do so, and one of them chosen for a plan."""

import asyncio
from collections.abc import Awaitable

import httpx
from pydantic import BaseModel

from orchestrator.plan import Choice
from zerotrust.adapters.model_choice import model_name
from zerotrust.context import current_principal
from zerotrust.decision import Denied, Reason
from zerotrust.limits.bounded import Bounded
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

INFERENCE = "inference"
LISTING = frozenset({"model.read", "llama.models"})
"""The scopes that it takes to list the models."""
SECONDS_TO_CHOOSE = 10
"""Seconds for which a task waits for the list; without one, it goes on with the default.

The first exchange, beside which it is asked for, may take as long."""
REMEMBERED, SECONDS_REMEMBERED = 1_000, 30
"""Lists that are remembered, each for the holder of one token; and for how long."""


class ModelList(BaseModel):
    """The names of the models as they are shown."""

    models: list[str]
    receipts: str = ""
    """The place for the receipts, as in a plan."""


class Models:
    """The models that the current caller's user may use."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lists = Bounded[str, tuple[float, list[str]]](REMEMBERED)

    async def listed(self, department: str | None = None) -> list[str]:
        """Return the names of the models, the service's own choice first; asked for in a task's one department.

        A list is remembered for the token that it was got with, so that many tasks of one sign-in do not ask again.
        Raises `Denied`, also if the inference service gives no valid answer.
        """
        # Refuses who is revoked by now.
        token = await self._service.exchange(INFERENCE, "model.read", "llama.models", department=department)
        until, names = self._lists.get(token.token_id, (0.0, []))
        if until > self._service.clock():
            return names
        try:
            with calling_with(token):
                answer = await self._service.egress.http.get(f"{self._service.addresses[INFERENCE]}/v1/models")
            names = [model_name(model["id"]) for model in answer.raise_for_status().json()["data"]]
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            raise Denied(Reason.PEER_UNAVAILABLE, f"{INFERENCE}: {error}") from error
        self._lists[token.token_id] = self._service.clock() + SECONDS_REMEMBERED, names
        return names

    async def choose(self, department: str) -> Choice:
        """Return a model for a plan: the first that the user's token lists; the default, where it lists none.

        A plan needs no list, so nothing that goes wrong here ends a task.
        """
        if lacking := LISTING - current_principal().scopes:
            return Choice(because=f"the token may not list the models: it lacks {' and '.join(sorted(lacking))}")
        try:
            async with asyncio.timeout(SECONDS_TO_CHOOSE):
                names = await self.listed(department)
        except Denied as refusal:
            return Choice(because=f"the models could not be listed: {refusal.public_reason}")
        except TimeoutError:
            return Choice(because="the models could not be listed: no answer in time")
        if not names:
            return Choice(because="the inference service lists no model")
        return Choice(names[0], "the first that the inference service lists")

    async def choose_beside(self, other: Awaitable[object], department: str) -> Choice:
        """Return a model for a plan, chosen while `other` is awaited.  What that raises ends both."""
        choosing = asyncio.create_task(self.choose(department))
        try:
            await other
            return await choosing
        finally:
            choosing.cancel()
