"""A client that repeats a request if there is no answer, as many do by default."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import httpx2


async def send_twice(sending: Callable[..., Awaitable[Any]], request: Any, options: dict[str, Any]) -> Any:
    """Send a request, and again if the answer is lost, although the first may have taken effect."""
    try:
        return await sending(request, **options)
    except (httpx.TransportError, httpx2.TransportError):
        return await sending(request, **options)
