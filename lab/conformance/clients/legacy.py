"""The Python SDK, version 1, which speaks 2025-11-25; prints what came of it as JSON.  Runs in its own venv."""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client  # type: ignore[attr-defined]


def told(error: BaseException) -> str:
    """The first error within a group, in a line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def connect(url: str) -> str:
    """Shake hands."""
    async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
    return "ok"


try:
    came = asyncio.run(connect(sys.argv[1]))
except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - whatever comes is what is told
    came = told(error)
print(json.dumps({"connect": came}))
