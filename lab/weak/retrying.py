"""A client that tries again when no answer comes, as many do by themselves."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import httpx2


async def twice(sending: Callable[..., Awaitable[Any]], request: Any, options: dict[str, Any]) -> Any:
    """Send a request, and once more where the answer is lost: it may have been done the first time."""
    try:
        return await sending(request, **options)
    except (httpx.TransportError, httpx2.TransportError):
        return await sending(request, **options)
