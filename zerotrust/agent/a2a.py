"""Serves an agent to its callers (A2A 1.0, JSON-RPC), with the official SDK.  `agent_client.py` is the other side.

An agent answers with a message, not with a stored task: nothing is stored after the answer.  The answer has an account
of what the agent did, even if it did not finish.  Without an account, it is unclear what was done.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any

from a2a.helpers.proto_helpers import new_data_part, new_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.jsonrpc_models import JSONParseError, JSONRPCError, MethodNotFoundError
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import DefaultServerCallContextBuilder, add_a2a_routes_to_fastapi
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.server.tasks import InMemoryTaskStore
from a2a.types import Message, Part, Role, SendMessageRequest, Task
from a2a.utils import errors
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from zerotrust.adapters.agent_card import CARD_PATH, INPUT_MODES, OUTPUT_MODES, PATH, agent_card, sign_card
from zerotrust.adapters.answer import Answer, PeerError, outage_of
from zerotrust.adapters.model_choice import DEFAULT_MODEL, ask_for_model
from zerotrust.decision import Denied, Reason
from zerotrust.dialect import Dialect
from zerotrust.receipts.carried import EXTENSION
from zerotrust.service import Service
from zerotrust.transport.jsonrpc import LONGEST_ID, error_body, request_id

DIALECTS = {PATH: Dialect(error_body, media_type=b"application/json")}


def agent_app(
    service: Service, answer: Callable[[str], Awaitable[Answer]], *resources: AbstractAsyncContextManager[Any]
) -> FastAPI:
    """Return an app that answers A2A messages with `answer`, which runs in the context of the request."""
    registry, name = service.registry, service.name
    card = agent_card(name, registry.address(name), registry.scopes_at(name))
    # control: no-push-notifications
    handler = _Handler(agent_executor=_Executor(answer), task_store=InMemoryTaskStore(), agent_card=card)
    app = service.app(*resources)
    routes = [Route(PATH, _Dispatcher(handler, _Context()).handle_requests, methods=["POST"])]
    add_a2a_routes_to_fastapi(app, jsonrpc_routes=routes)  # control: one-a2a-binding

    @app.get(CARD_PATH)
    async def signed() -> dict[str, Any]:
        return sign_card(card, service.workload.svid)  # the signature expires with the current SVID

    return app


_works: ContextVar[set[asyncio.Future[Answer]]] = ContextVar("works")
"""The agent's work for the request being handled; the SDK runs it in a task that the request does not cancel."""


class _Executor(AgentExecutor):
    def __init__(self, answer: Callable[[str], Awaitable[Answer]]) -> None:
        self._answer = answer

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        working = asyncio.ensure_future(self._answer(context.get_user_input()))  # control: no-conversation-kept
        _works.get().add(working)
        try:
            found = await working
        except Denied as error:
            found = Answer(broken=error.public_reason, outage=outage_of(error))
        except PeerError as error:
            found = Answer(broken=error.message, outage=error.outage)
        except asyncio.CancelledError:
            found = Answer(broken="cut off")  # only for the SDK, which waits for an event
        wanted = context.configuration.accepted_output_modes if context.configuration else ()
        parts = _parts(found, wanted)
        # control: no-task-kept
        answer = new_message(parts, context_id=context.context_id, role=Role.ROLE_AGENT)  # A2A 1.0 section 3.4.1
        answer.metadata.update({EXTENSION: ""})  # which the gate fills
        await event_queue.enqueue_event(answer)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:  # noqa: ARG002
        raise errors.UnsupportedOperationError


def _accepts(mode: str, wanted: Collection[str]) -> bool:
    """Return whether a caller accepts parts of that media type; without a list, it accepts all."""
    return not wanted or not {mode, f"{mode.partition('/')[0]}/*", "*/*"}.isdisjoint(wanted)


def _parts(found: Answer, wanted: Collection[str]) -> list[Part]:
    """Return an answer in the media types that the caller accepts (A2A 1.0 section 3.2.2)."""
    text, data = (_accepts(mode, wanted) for mode in OUTPUT_MODES)
    account = found.model_dump(mode="json", exclude={"text"} if text else None)
    return [*([new_text_part(found.text)] if text else []), *([new_data_part(account)] if data else [])]


class _Handler(DefaultRequestHandler):
    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Message | Task:
        """Handle a message as the SDK does, for the model that it names.  Refuse it if this agent cannot read a part,
        cannot answer in an accepted media type, or if the name is not that of a model.
        """
        readable = (part.HasField("text") and part.media_type in {"", *INPUT_MODES} for part in params.message.parts)
        answerable = (_accepts(mode, params.configuration.accepted_output_modes) for mode in OUTPUT_MODES)
        if not all(readable) or not any(answerable):
            raise errors.ContentTypeNotSupportedError
        try:
            ask_for_model(dict(params.message.metadata).get("model", DEFAULT_MODEL))
        except ValueError as error:
            raise errors.InvalidParamsError from error
        sent: Message | Task = await super().on_message_send(params, context)
        return sent


_MEMBERS = {"jsonrpc", "id", "method", "params"}
"""The members that a request may have."""


class _Dispatcher(JsonRpcDispatcher):
    async def handle_requests(self, request: Request) -> Response:
        """Handle a request as the SDK does, but refuse a long id, and end the agent's work with the request."""
        if body := await request.body():
            given = json.loads(body)
            if len(str(given.get("id"))) > LONGEST_ID:
                raise Denied(Reason.MALFORMED_BODY, "an id too long")
            if wrong := self._form_error(given):
                return self._generate_error_response(request_id(given), wrong)
        works: set[asyncio.Future[Answer]] = set()
        _works.set(works)
        answering = asyncio.create_task(super().handle_requests(request))
        try:
            return await asyncio.shield(answering)
        except asyncio.CancelledError:  # the SDK would continue, for a client that might reconnect later
            for working in works:
                working.cancel()
            raise

    def _form_error(self, given: Mapping[str, Any]) -> errors.A2AError | None:
        """Return the error if a request has another form (JSON-RPC 2.0 section 4); the SDK would log it verbatim."""
        method, params = given.get("method"), given.get("params", {})
        named = isinstance(method, str) and bool(method) and not method.startswith("rpc.")
        good = given.get("jsonrpc") == "2.0" and named and given.keys() <= _MEMBERS and request_id(given) is not None
        if not good or not isinstance(params, dict | list | None):
            return errors.InvalidRequestError()
        return errors.InvalidParamsError() if method in self.METHOD_TO_MODEL and not isinstance(params, dict) else None

    def _generate_error_response(self, request_id: str | int | None, error: Exception | JSONRPCError) -> JSONResponse:
        """Send only the kind of error; the SDK would send Python's message, and quote the caller."""
        kinds = errors.A2AError | JSONParseError | MethodNotFoundError
        kind = type(error)() if isinstance(error, kinds) else errors.InternalError()
        return super()._generate_error_response(request_id, kind)


class _Context(DefaultServerCallContextBuilder):
    """Removes the token from the SDK's context, into which the SDK copies every header."""

    def build(self, request: Request) -> ServerCallContext:
        context = super().build(request)
        context.state["headers"].pop("authorization", None)  # control: token-not-in-context
        return context
