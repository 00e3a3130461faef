"""Services and clients that lack one control, each for one row of the attack catalogue."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, ClassVar

import httpx
import httpx2
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.tasks import BasePushNotificationSender, InMemoryPushNotificationConfigStore
from a2a.types import AgentCard, Artifact, Part, Task, TaskState, TaskStatus
from fastapi import Depends, FastAPI
from google.protobuf.json_format import Parse  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.plan import Step
from zerotrust.adapters.agent_card import CARD_PATH
from zerotrust.adapters.answer import Answer, PeerError
from zerotrust.call import Call
from zerotrust.context import REQUEST, current_principal
from zerotrust.gate import Gate
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import ask
from zerotrust.orchestrator import agent_client
from zerotrust.orchestrator.agent_client import MAX_CARD
from zerotrust.routes import Routes
from zerotrust.service import Service


class Forwarding(Service):
    """A service that does not exchange tokens (MCP forbids this as "token passthrough")."""

    instead_of: ClassVar = "zerotrust/service.py Service.exchange"

    async def exchange(self, audience: str, *scopes: str, **wishes: Any) -> ExchangedToken:  # noqa: ARG002
        caller = current_principal()
        return ExchangedToken(self.registry.id(audience), caller.token_id, caller.expires_at, caller.token)


class GateAsDependency(Service):
    """The gate as a dependency of the framework, which is common.

    FastAPI runs it for the routes that it registers itself, but not for those that an SDK adds: they are open.
    """

    instead_of: ClassVar = "zerotrust/gate.py Gate, round everything"

    def app(self, *resources: AbstractAsyncContextManager[Any]) -> FastAPI:
        """Return the app, with the gate as a dependency of every route."""
        app = super().app(*resources)
        app.router.dependencies.append(Depends(self._admit))
        return app

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:
        """Return the app unchanged, because its routes have the gate as a dependency."""
        router = app.router.middleware_stack
        gate = super().guard(app, routes, **how)
        assert isinstance(gate, Gate)  # noqa: S101 - for the type checker
        self._gate, app.router.middleware_stack = gate, router  # the router runs first
        return app

    async def _admit(self, request: Request) -> None:
        call = Call(scope=request.scope, receive=_read_already, peer=request.scope["state"]["peer"])
        REQUEST.set(call)
        try:
            await self._gate.admit(call)  # the app answers its exceptions
        finally:
            for give_back in call.at_end:  # it is not recorded when it ends
                give_back()


async def _read_already() -> Message:
    return {"type": "http.request"}


class BelievesHeaders(Service):
    """A confused deputy, as behind a trusted proxy: takes user and department from headers, if there are any."""

    instead_of: ClassVar = "zerotrust/context.py current_principal"

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:
        app.add_middleware(_renaming)
        return super().guard(app, routes, **how)


def _renaming(app: ASGIApp) -> ASGIApp:
    async def renamed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "x-user" in (headers := Headers(scope=scope)):
            groups = frozenset({headers["x-groups"]})
            principal = replace(current_principal(), subject=headers["x-user"], groups=groups)
            REQUEST.set(replace(REQUEST.get(), principal=principal))
        await app(scope, receive, send)

    return renamed


def as_task(context: RequestContext, parts: Sequence[Part]) -> Task:
    """Return the answer as a task, which the SDK stores: to the SDK, all users are the same anonymous one."""
    return Task(
        id=context.task_id,
        context_id=context.context_id,
        status=TaskStatus(state=TaskState.TASK_STATE_COMPLETED),
        artifacts=[Artifact(artifact_id="answer", parts=parts)],
    )


def with_history(executor: AgentExecutor, context: RequestContext) -> str:
    """Return this message, after all earlier messages of any user in this context."""
    said = vars(executor).setdefault("said", {}).setdefault(context.context_id, [])
    said.append(context.get_user_input())
    return "\n".join(said)


def push_options(service: Service) -> dict[str, Any]:
    """Return the options by which the SDK sends push notifications to an address that the caller chooses."""
    store = InMemoryPushNotificationConfigStore()
    return {
        "push_config_store": store,
        "push_sender": BasePushNotificationSender(httpx_client=service.egress.without_token, config_store=store),
    }


async def card_of(service: Service, name: str) -> AgentCard:
    """Return the card at an agent's address, unchecked; as in the SDK's example, its address is called then."""
    url = f"{service.addresses[name]}{CARD_PATH}"
    _, sent = await ask(service.egress.without_token, "GET", url, most=MAX_CARD)
    card: AgentCard = Parse(sent, AgentCard(), ignore_unknown_fields=True)
    return card


TRIES = 5


async def ask_agent(service: Service, step: Step, text: str, token: ExchangedToken) -> Answer:
    """Do the same as `agent_client.ask_agent`, but step up (RFC 6750 section 3.1) as often as a refusal asks for it."""
    for _ in range(TRIES):
        try:
            return await agent_client.ask_agent(service, step.agent, f"{step.instruction}\n{text}", token)
        except PeerError as error:
            answer = error.__cause__ and error.__cause__.__cause__
            challenge = answer.response.headers["www-authenticate"]  # type: ignore[union-attr] # it is a refusal
            wanted = re.findall(r'scope="([^"]+)"', challenge)[0].split()
            token = await service.exchange(step.agent, *wanted, department=step.department)
    raise PeerError(f"{step.agent}: refused {TRIES} times")


async def send_twice(sending: Callable[..., Awaitable[Any]], request: Any, options: dict[str, Any]) -> Any:
    """Send a request, and again if the answer is lost, although the first may have taken effect."""
    try:
        return await sending(request, **options)
    except (httpx.TransportError, httpx2.TransportError):
        return await sending(request, **options)
