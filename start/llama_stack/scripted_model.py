"""A model server without a model: our script behind OpenAI's API.  It checks no caller.

It stands where the user's own model will be, behind the Llama Stack server, in a network with that server alone.
`python -m start.llama_stack.scripted_model HOST PORT` serves it.
"""

import secrets
import sys
import time
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from inference.answer import Head, model_entry
from inference.backends.scripted import MODEL, Scripted
from inference.chat import Conversation
from zerotrust.decision import Denied

app, script = FastAPI(openapi_url=None), Scripted()


@app.post("/v1/chat/completions")
async def complete(conversation: Conversation) -> Response:
    """Answer as the script does."""
    try:
        head = Head(secrets.token_hex(12), int(time.time()), script.model(conversation.model))
        reply = await script.reply(MODEL, conversation)
        if conversation.stream:
            events = head.events(reply, with_usage=conversation.wants_usage)
            return Response(events, media_type="text/event-stream")
        return JSONResponse(head.whole(reply))
    except Denied as refusal:
        error = {"message": refusal.advice, "code": str(refusal.public_reason)}
        return JSONResponse({"error": error}, refusal.status)


@app.get("/v1/models")
async def models() -> dict[str, Any]:
    """List the one model."""
    return {"object": "list", "data": [model_entry(MODEL)]}


if __name__ == "__main__":
    uvicorn.run(app, host=sys.argv[1], port=int(sys.argv[2]), log_level="warning")
