"""A slow model."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

THINKING = 0.015
"""Seconds that the model takes for a reply, if the request asks for it."""


def thinking(app: ASGIApp) -> ASGIApp:
    """Return the app of a model that is slow if the request asks for it."""

    async def thoughtful(scope: Scope, receive: Receive, send: Send) -> None:
        async def read() -> Message:
            message = await receive()
            if b"Take your time" in message.get("body", b""):
                await asyncio.sleep(THINKING)
            return message

        await app(scope, read if scope["type"] == "http" else receive, send)

    return thoughtful
