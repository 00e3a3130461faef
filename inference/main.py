"""Inference: an OpenAI-compatible API in front of a model.  One scope to use the model, another to list the models.

The model is a script (`inference/script.py`).  What matters here is the gate; a real model would be behind the same.
"""

import secrets
import time
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp

from inference.budget import Budgets
from inference.chat import MODEL, OPENAI, Completion, Conversation, model_entry
from inference.script import reply
from zerotrust.context import current_principal
from zerotrust.routes import MAX_CONVERSATION, Public, Routes, Scope
from zerotrust.runtime import run
from zerotrust.service import Service

ROUTES: Routes = {
    ("POST", "/v1/chat/completions"): Scope("inference.run", max_body=MAX_CONVERSATION),
    ("GET", "/v1/models"): Scope("model.read"),
    ("GET", f"/v1/models/{MODEL}"): Scope("model.read"),
    ("GET", "/health"): Public(),
}
DIALECTS = {path: OPENAI for _, path in ROUTES if path.startswith("/v1/")}


def create_app(service: Service) -> ASGIApp:
    """The inference service, guarded."""
    app, budgets = service.app(), Budgets(service.clock)

    @app.post("/v1/chat/completions")
    async def complete(conversation: Conversation) -> Response:
        conversation.check()
        budgets.enter(caller := current_principal())
        messages = [message.model_dump() for message in conversation.messages]
        message = reply(messages, {tool.function.name: tool.function.texts for tool in conversation.tools or []})
        completion = Completion(conversation, message, number=secrets.token_hex(12), now=int(time.time()))
        budgets.spend(caller, completion.tokens)
        if conversation.stream:
            return StreamingResponse(completion.events(), media_type="text/event-stream")
        return JSONResponse(completion.whole())

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model_entry()]}

    @app.get(f"/v1/models/{MODEL}")
    async def model() -> dict[str, Any]:
        return model_entry()

    return service.guard(app, ROUTES, dialects=DIALECTS)


if __name__ == "__main__":
    run("inference", create_app)
