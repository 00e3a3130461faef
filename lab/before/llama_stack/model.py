"""The model behind the Llama Stack: an OpenAI-compatible provider with the rules of our own scripted model."""

from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Response

from deploy import scripted_model
from inference.chat import Conversation


def model_app(key: str) -> FastAPI:
    """Return the provider; whoever has the key may use it."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return await scripted_model.models()

    @app.post("/v1/chat/completions")
    async def complete(conversation: Conversation, authorization: Annotated[str, Header()] = "") -> Response:
        if authorization != f"Bearer {key}":
            raise HTTPException(401)
        return await scripted_model.complete(conversation)

    return app
