"""Tries what the Llama Stack server's own API refuses: it checks tokens by itself, after our APIs.

Made as an intruder inside inference could make it, who reaches that server and holds the tokens for it.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx

from demo.checks import ALLOWED, Attempt
from demo.intruder import Intruder, Source, User, answer_to
from demo.ways import HELLO
from start.llama_stack.ogx import NAME
from start.llama_stack.server import LlamaStack
from start.system import System
from zerotrust.registry.snapshot import Directory
from zt.people.client import user_client

CHAT, MODELS, RESPONSES = "/v1/chat/completions", "/v1/models", "/v1/responses"
INFERENCE = "inference, at the Llama Stack server"
POLICY, AUDIENCE = "Llama Stack: route policy", "Llama Stack: audience"


async def attempts_at_the_server(system: System, server: LlamaStack) -> AsyncIterator[Attempt]:
    """Try each token at each of the server's APIs, and one of its tokens at inference's own API."""
    async with AsyncExitStack() as stack:
        intruder = Intruder(system, stack)
        alice = User("alice", intruder)
        chat = alice.exchange(alice.t3, "inference", NAME, "llama.chat")
        models = alice.exchange(alice.listing, "inference", NAME, "llama.models")
        directory = Directory({}, {}, outside={server.origin: server.spki_sha256})
        http = await stack.enter_async_context(user_client(directory, system.ca_file))

        async def ask(token: Source | None, path: str, **body: Any) -> httpx.Response:
            headers = {"authorization": f"Bearer {await token()}"} if token else {}
            return await http.request("POST" if body else "GET", f"{server.origin}{path}", headers=headers, **body)

        listed = await ask(models, MODELS)
        found = listed.json().get("data") or [{"id": "none"}]
        hello = {"json": HELLO | {"model": found[0]["id"]}}

        async def attempt(
            what: str, control: str, expected: int, token: Source | None, path: str, **body: Any
        ) -> Attempt:
            answered = (await ask(token, path, **body)).status_code
            return Attempt(INFERENCE, what, control, str(expected), str(answered))

        yield await attempt("uses a model, with its token for that", ALLOWED, 200, chat, CHAT, **hello)
        yield Attempt(INFERENCE, "lists the models, with its token for that", ALLOWED, "200", str(listed.status_code))
        yield await attempt("lists the models, with its token for using one", POLICY, 403, chat, MODELS)
        yield await attempt("uses a model, with its token for listing them", POLICY, 403, models, CHAT, **hello)
        yield await attempt(
            "has the server call tools, with its token for using a model", POLICY, 403, chat, RESPONSES, **hello
        )
        yield await attempt(
            "uses a model, with the reader's token for inference", AUDIENCE, 401, alice.t3, CHAT, **hello
        )
        yield await attempt("uses a model, with alice's own token", AUDIENCE, 401, alice.t0, CHAT, **hello)
        yield await attempt("uses a model, without a token", "Llama Stack: token", 401, None, CHAT, **hello)
        at_our_api = await answer_to(intruder.send("inference", "inference", CHAT, await chat(), json=HELLO))
        what = "takes its token for the server to inference's own API"
        yield Attempt("inference", what, "gate: audience", "401 audience_mismatch", at_our_api)
