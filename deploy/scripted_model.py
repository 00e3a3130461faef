"""A model server that needs no model: our script behind OpenAI's API, without any check of who asks.

It stands where the user's own model will be, behind the Llama Stack server, in a network with that server alone.
`python -m deploy.scripted_model HOST PORT` serves it.
"""

import secrets
import sys
import time
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, StreamingResponse

from inference.chat import Completion, Conversation, model_entry
from inference.script import reply
from zerotrust.decision import Denied

app = FastAPI(openapi_url=None)


@app.post("/v1/chat/completions")
async def complete(conversation: Conversation) -> Response:
    """Answer as the script does."""
    try:
        conversation.check()
    except Denied as refusal:
        error = {"message": refusal.advice, "code": str(refusal.public_reason)}
        return JSONResponse({"error": error}, refusal.status)
    messages = [message.model_dump() for message in conversation.messages]
    message = reply(messages, {tool.function.name: tool.function.texts for tool in conversation.tools or []})
    completion = Completion(conversation, message, number=secrets.token_hex(12), now=int(time.time()))
    if conversation.stream:
        return StreamingResponse(completion.events(), media_type="text/event-stream")
    return JSONResponse(completion.whole())


@app.get("/v1/models")
async def models() -> dict[str, Any]:
    """List the one model."""
    return {"object": "list", "data": [model_entry()]}


if __name__ == "__main__":
    uvicorn.run(app, host=sys.argv[1], port=int(sys.argv[2]), log_level="warning")
