"""A model that takes its time."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

THINKING = 0.015
"""Seconds that a model takes for a reply, where the request asks it to take its time."""


def thinking(app: ASGIApp) -> ASGIApp:
    """The app of a model that takes its time when it is told to."""

    async def thoughtful(scope: Scope, receive: Receive, send: Send) -> None:
        async def read() -> Message:
            message = await receive()
            if b"Take your time" in message.get("body", b""):
                await asyncio.sleep(THINKING)
            return message

        await app(scope, read if scope["type"] == "http" else receive, send)

    return thoughtful
