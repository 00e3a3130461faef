"""The models of the inference service: listed with the user's right to do so, and one of them chosen for a plan."""

import asyncio
from collections.abc import Awaitable

import httpx
from pydantic import BaseModel

from orchestrator.plan import Choice
from zerotrust.adapters.model_choice import model_name
from zerotrust.context import current_principal
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.bounded import Bounded
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

INFERENCE = "inference"
LISTING = frozenset({"model.read", "llama.models"})
"""The scopes that it takes to list the models."""
SECONDS_TO_CHOOSE = 10
"""Seconds for which a task waits for the list; without one, it goes on with the default.

The exchange before it may take as long: like any other, it ends before the answer."""
REMEMBERED, SECONDS_REMEMBERED = 1_000, 30
"""Lists that are remembered, each for the holder of one token, and for how many seconds."""


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

    async def list_names(self, department: str | None = None) -> list[str]:
        """Return the names of the models, the service's own choice first, fetched with a token for one department.

        A list is remembered for the token that it was got with, so that many tasks of one sign-in do not ask again.
        Raises `Denied`, also if the inference service gives no valid answer.
        """
        return await self._fetch_names(await self._token(department))

    async def _token(self, department: str | None) -> ExchangedToken:
        """Return the token for the list.  Raises `Denied`, also for a caller that is revoked by now."""
        return await self._service.exchange(INFERENCE, "model.read", "llama.models", department=department)

    async def _fetch_names(self, token: ExchangedToken) -> list[str]:
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

    async def choose(self, department: str, beside: Awaitable[object] | None = None) -> Choice:
        """Return a model for a plan: the first that the user's token lists; the default, where it lists none.

        A plan needs no list, so nothing that goes wrong here ends a task.  `beside`: an exchange that is awaited
        together with the one for the list; what it raises is raised.
        """
        if lacking := LISTING - current_principal().scopes:
            if beside:
                await beside
            return Choice(because=f"the token may not list the models: it lacks {' and '.join(sorted(lacking))}")
        getting = asyncio.gather(self._token(department), return_exceptions=True)
        if beside:
            await beside
        [token] = await getting
        try:
            if isinstance(token, BaseException):
                raise token
            async with asyncio.timeout(SECONDS_TO_CHOOSE):
                names = await self._fetch_names(token)
        except Denied as refusal:
            return Choice(because=f"the models could not be listed: {refusal.public_reason}")
        except TimeoutError:
            return Choice(because="the models could not be listed: no answer in time")
        if not names:
            return Choice(because="the inference service lists no model")
        return Choice(names[0], "the first that the inference service lists")
