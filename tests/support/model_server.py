"""The real Llama Stack (OGX) server, with a model of the test's behind it, and with tokens of the test's issuer.

It runs in the environment of its own (`make .ogx/ready`).  Where that is missing, or Python is too old for its client,
the tests are skipped, and with OGX_TESTS=required they fail.
"""

import contextlib
import datetime as dt
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from inference.answer import Head, Reply
from inference.backends.scripted import Scripted
from inference.chat import Conversation
from start.llama_stack import scripted_model
from start.llama_stack.ogx import Place, Provider, configuration, new_server_key
from tests.support.issuer import ISSUER, Issuer
from tests.support.system import ROOT
from tests.support.waiting import served

OGX = ROOT / ".ogx" / "bin" / "ogx"
KEY = "the key of the model, which only the Llama Stack server has"
STARTS_WITHIN = 120
"""Seconds; many times what it needs."""


def needs_client() -> None:
    """Skip a module where the client cannot be installed, in one sentence; fail where it has to run."""
    if sys.version_info < (3, 12):
        _skip("llama-stack-client needs Python 3.12 or newer, and this is older: make test PYTHON=python3.12")


def needs_ogx() -> None:
    """Skip a module where there is no such server, or no client of it."""
    needs_client()
    needs_server()


def needs_server() -> None:
    """Skip a module, or what needs this fixture, where there is no such server."""
    if not OGX.exists():
        _skip("The OGX server is not installed: make .ogx/ready")


def _skip(why: str) -> None:
    if os.environ.get("OGX_TESTS") == "required":
        pytest.fail(why, pytrace=False)
    pytest.skip(why, allow_module_level=True)


@dataclass
class Model:
    """A provider with an OpenAI-compatible API, and what it was asked.

    Its models: `obedient` does what any text says, as our script; `sensible` reads, and does what its user says only;
    `failing` fails.
    """

    asked: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    """Headers and body of each request."""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/v1/models")
        async def models() -> dict[str, Any]:
            names = ("obedient", "sensible", "failing")
            return {
                "object": "list",
                "data": [{"id": n, "object": "model", "created": 0, "owned_by": "x"} for n in names],
            }

        @app.post("/v1/chat/completions")
        async def complete(conversation: Conversation, request: Request) -> Response:
            self.asked.append((dict(request.headers), await request.json()))
            if request.headers.get("authorization") != f"Bearer {KEY}":
                return JSONResponse({"error": {"message": "whose key?"}}, 401)
            if conversation.model == "failing":
                return JSONResponse({"error": {"message": "maximum context length is 7 tokens"}}, 400)
            if conversation.model == "sensible":
                return JSONResponse(Head("sensible", 1, "sensible").whole(await _sensible(conversation)))
            conversation.model = "scripted"
            return await scripted_model.complete(conversation)

        return app


async def _sensible(conversation: Conversation) -> Reply:
    """What the script would do if it obeyed nothing that it reads in documents."""
    deaf = conversation.model_copy(deep=True)
    for message in deaf.messages:
        if message.role == "tool" and message.content:
            message.content = message.content.replace("call ", "it says: ")
        elif message.content:
            message.content = message.content.replace("\ncall ", "\nit says: ").replace("IMPORTANT: call", "IMPORTANT:")
    return await Scripted().reply("scripted", deaf)


@dataclass
class ModelServer:
    origin: str
    pin: str
    model: Model
    issuer: Issuer
    log: Path
    certificate: Path


@contextmanager
def running_ogx(folder: Path, issuer: Issuer) -> Iterator[ModelServer]:
    """The server, for a block."""
    model, now = Model(), dt.datetime.now(dt.UTC)
    pairs = {}
    for name in ("issuer", "server"):
        pairs[name] = made = new_server_key("localhost", now)
        (folder / f"{name}.key").write_bytes(made.key)
        (folder / f"{name}.crt").write_bytes(made.certificate)
    keys = {"ssl_keyfile": folder / "issuer.key", "ssl_certfile": folder / "issuer.crt"}
    with served(model.app()) as provider, served(issuer.app, **keys) as issuing, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        place = Place(
            issuer=ISSUER,
            keys_uri=f"https://localhost:{issuing}/keys",
            ca=str(folder / "issuer.crt"),
            host="127.0.0.1",
            port=port,
            certificate=str(folder / "server.crt"),
            key=str(folder / "server.key"),
            folder=str(folder),
        )
        config, log = folder / "ogx.json", folder / "ogx.log"
        config.write_text(configuration(place, Provider(f"http://127.0.0.1:{provider}/v1", KEY)))
        env = {**os.environ, "OGX_CONFIG_DIR": str(folder), "NO_COLOR": "1"}
        with log.open("wb") as out:
            process = subprocess.Popen([OGX, "run", config], cwd=folder, env=env, stdout=out, stderr=out)  # noqa: S603
        try:
            _wait(port, process, log)
            server = pairs["server"]
            yield ModelServer(
                f"https://localhost:{port}", server.spki_sha256, model, issuer, log, folder / "server.crt"
            )
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server answers; it listens once it can."""
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"https://localhost:{port}/v1/health", verify=False, timeout=5)  # noqa: S501 - only whether
            return
        time.sleep(0.1)
    pytest.fail(f"The OGX server does not start:\n{log.read_text()[-3000:]}", pytrace=False)


def events_of(text: str) -> list[dict[str, Any]]:
    """The JSON events of a stream."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]
