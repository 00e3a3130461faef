"""A Llama Stack (OGX) server as a backend, through its own client.

Each call has a token of its own for that server, in exchange for the caller's token.  It is good for one of the
server's APIs, and ends with the caller's.  No call is repeated, and no answer of the server is passed on unchecked.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field, ValidationError

from inference.answer import Reply
from inference.backends import checked
from inference.backends.checked import TooLong
from inference.budget import Shares
from inference.chat import DEFAULT, NEVER_SERVED, Conversation, ModelReason, unknown_model
from inference.settings import MODEL_NAME, ModelSettings
from zerotrust.context import current_principal
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.errors import ZeroTrustError
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with


class ClientMissing(ZeroTrustError):
    """The client library is not installed."""


try:
    from llama_stack_client import APIConnectionError, APIStatusError, AsyncLlamaStackClient
except ModuleNotFoundError as error:
    raise ClientMissing(
        "A Llama Stack server needs llama-stack-client, which needs Python 3.12 or newer: "
        "make PYTHON=python3.12 up MODEL=llama-stack"
    ) from error

CHAT, MODELS = "llama.chat", "llama.models"
"""The scopes of the server's two APIs."""
LASTING = 20
"""Seconds that a call of the model may take, whatever is left of an earlier call's token.  A model on a slow machine
needs some, and a token lives for 30."""

NO_DEFAULT = (
    "Which model is the default is not known here. Start inference with ZT_MODEL, the name of one as the server lists "
    "it; or list the models, which needs model.read and llama.models; or ask for a model by its name."
)

_NOT_THERE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.NetworkError)
_CONTEXT = re.compile(r"context.{0,20}(length|window|size)|maximum context|too many tokens", re.IGNORECASE)


class Options(BaseModel):
    """The options of a conversation that are passed on; others are ignored."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=checked.MAX_TEXT)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=checked.MAX_TEXT)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    parallel_tool_calls: bool | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None


class LlamaStack:
    """The models of one server."""

    def __init__(self, service: Service, name: str, origin: str, settings: ModelSettings) -> None:
        self._service, self._name = service, name
        self._chosen = settings.model
        self._shares = Shares()
        self._client = AsyncLlamaStackClient(
            base_url=origin,
            http_client=service.egress.http,
            max_retries=0,
            timeout=None,  # a call ends with its token
            api_key="",  # nor one from the environment: egress attaches the token
        )

    async def models(self) -> list[str]:
        """Return the names of its language models, the chosen one first.  Raises `Denied`."""
        token = await self._service.exchange(self._name, MODELS)
        with self._one_more(), _translating_errors():
            with calling_with(token, elements=checked.LIST_ELEMENTS):
                listed = await self._client.models.list()
            found = checked.models(listed, re.compile(MODEL_NAME).fullmatch)
        chosen = self._chosen = self._chosen or next(iter(found), None)
        return sorted(found, key=lambda name: name != chosen)

    def model(self, asked: str) -> str:
        """Return a model's name; the server knows whether it has it.  Raises `Denied`."""
        if asked == DEFAULT and self._chosen is None:
            # A user of a model need not have the right to list the models, so the list is not fetched here.
            raise Denied(ModelReason.NO_DEFAULT_MODEL, advice=NO_DEFAULT, more={"param": "model"})
        if not re.fullmatch(MODEL_NAME, asked):
            raise unknown_model(asked, "GET /v1/models lists the models.")
        return self._chosen if asked == DEFAULT and self._chosen else asked

    async def reply(self, model: str, conversation: Conversation) -> Reply:
        request = self._request(model, conversation)
        token = await self._service.exchange(self._name, CHAT, lasting=LASTING)
        with self._one_more(), _translating_errors():
            with calling_with(token):
                answer = await self._client.chat.completions.create(**request)
            return checked.completion(answer)

    def _one_more(self) -> AbstractContextManager[None]:
        caller = current_principal()
        return self._shares.one_more(caller.party, caller.subject)

    def _request(self, model: str, conversation: Conversation) -> dict[str, Any]:
        conversation.check(NEVER_SERVED)
        try:
            options = Options.model_validate(conversation.model_extra or {})
        except ValidationError as error:
            raise Denied(Reason.MALFORMED_BODY, ", ".join(str(one["loc"][0]) for one in error.errors())) from error
        messages = [message.model_dump(exclude_none=True) for message in conversation.messages]
        tools = [tool.plain() for tool in conversation.tools or []]
        offered = {"tools": tools} if tools else {}
        return {"model": model, "messages": messages} | offered | options.model_dump(exclude_none=True)


@contextmanager
def _translating_errors() -> Iterator[None]:
    """Raise an error of the server as `Denied`, which quotes nothing of the server's answer."""
    try:
        yield
    except Denied:
        raise
    except Exception as error:  # its library checks nothing, so nonsense fails anywhere in it
        cause = error.__cause__ if isinstance(error, APIConnectionError) and error.__cause__ else error
        if isinstance(cause, Denied):
            raise cause from None
        detail = str(cause.status_code) if isinstance(cause, APIStatusError) else type(cause).__name__
        raise Denied(_reason(cause), detail) from error


def _reason(error: BaseException) -> ReasonCode:
    if isinstance(error, APIStatusError):
        return _reason_of(error.status_code, error.response.content.decode(errors="replace"))
    if isinstance(error, _NOT_THERE):
        return ModelReason.MODEL_UNREACHABLE
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return ModelReason.MODEL_TIMED_OUT
    if isinstance(error, TooLong):
        return ModelReason.MODEL_ANSWER_TOO_LONG
    return ModelReason.MODEL_ANSWER_INVALID


def _reason_of(status: int, text: str) -> ReasonCode:
    if status in (400, 413, 422) and _CONTEXT.search(text):
        return ModelReason.CONTEXT_LENGTH_EXCEEDED
    if status in (429, 503):
        return ModelReason.MODEL_BUSY
    if status == 404:
        return ModelReason.UNKNOWN_MODEL
    return ModelReason.MODEL_FAILED if status >= 500 else ModelReason.MODEL_REFUSED
