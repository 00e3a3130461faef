"""What the intruder inside a workload answers on its Unix socket; see `lab/compromised_workload/main.py`."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

from zerotrust.spiffe.svid import Svid


async def ask_inside(socket: Path, request: str) -> dict[str, Any]:
    """Return the intruder's answer to a request.  Raises `OSError` if it does not run."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(f"{request}\n".encode())
    answer: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answer


async def svid_inside(socket: Path) -> Svid:
    """Return the workload's certificate and key, valid for 120 s.  Raises `OSError`."""
    answer = await ask_inside(socket, "x509")
    key, own, *bundle = (base64.b64decode(part) for part in [answer["key"], *answer["certificates"]])
    return Svid.from_der(key, own, bundle)
