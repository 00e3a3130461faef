"""The model behind the Llama Stack: an OpenAI-compatible provider with the rules of our own scripted model."""

import secrets
import time
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Response
from fastapi.responses import JSONResponse, StreamingResponse

from inference.chat import Completion, Conversation
from inference.script import reply


def model_app(key: str) -> FastAPI:
    """Return the provider; whoever has the key may use it."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "scripted", "object": "model", "created": 0, "owned_by": "script"}]}

    @app.post("/v1/chat/completions")
    async def complete(conversation: Conversation, authorization: Annotated[str, Header()] = "") -> Response:
        if authorization != f"Bearer {key}":
            raise HTTPException(401)
        messages = [message.model_dump() for message in conversation.messages]
        message = reply(messages, {tool.function.name: tool.function.texts for tool in conversation.tools or []})
        completion = Completion(conversation, message, number=secrets.token_hex(12), now=int(time.time()))
        if conversation.stream:
            return StreamingResponse(completion.events(), media_type="text/event-stream")
        return JSONResponse(completion.whole())

    return app
