"""Inference: an OpenAI-compatible API in front of a model.  One scope to use the model, another to list the models.

The model is a script, or one of a Llama Stack server (`inference/backends`); the gate is the same.
"""

import secrets
import time
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from inference.answer import Head, model_entry
from inference.backends import Choice
from inference.budget import Budgets, tokens
from inference.chat import OPENAI, Conversation
from inference.settings import ModelSettings
from zerotrust.context import current_principal
from zerotrust.receipts.carried import MEMBER
from zerotrust.routes import MAX_CONVERSATION, Public, Routes, Scope
from zerotrust.runtime import run
from zerotrust.service import Service

ROUTES: Routes = {
    ("POST", "/v1/chat/completions"): Scope("inference.run", max_body=MAX_CONVERSATION),
    ("GET", "/v1/models"): Scope("model.read"),
    ("GET", "/health"): Public(),
}
MAX_SHOWN = 200
"""Models in our list: as many as a reader accepts in one answer.  The others are served by name."""
DIALECTS = {"/v1/": OPENAI}


def create_app(service: Service) -> ASGIApp:
    """Return the inference service, guarded."""
    app, choice, budgets = service.app(), Choice(service, ModelSettings()), Budgets(service.clock)

    @app.post("/v1/chat/completions")
    async def complete(conversation: Conversation, request: Request) -> Response:
        backend = choice.backend()
        model = backend.model(conversation.model)
        budgets.enter(caller := current_principal())
        head, reply = Head(secrets.token_hex(12), int(time.time()), model), None
        try:
            reply = await backend.reply(model, conversation)
        finally:
            budgets.spend(caller, tokens(len(await request.body()), reply))
        if conversation.stream:
            events = head.events(reply, with_usage=conversation.wants_usage)
            return Response(events, media_type="text/event-stream")
        return JSONResponse(head.whole(reply) | {MEMBER: ""})

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        names = await choice.backend().models()
        return {"object": "list", "data": [model_entry(name) for name in names[:MAX_SHOWN]], MEMBER: ""}

    return service.guard(app, ROUTES, dialects=DIALECTS)


if __name__ == "__main__":
    run("inference", create_app)
