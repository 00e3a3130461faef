"""Runs one party of one variant: the party's own `create_app` in a service of the kind that the variant says."""

import asyncio
import os
from importlib import import_module

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.bench.party.naive import Naive
from lab.bench.party.spans import Spans
from lab.bench.party.unguarded import Unguarded
from zerotrust.run import run
from zerotrust.service import Service

KINDS = {"none": Unguarded, "warm": Service, "naive": Naive}
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


def create_app(service: Service) -> ASGIApp:
    """The party's app, watched."""
    module = import_module(os.environ["ZT_BENCH_MODULE"])
    app = Spans(service.data / "spans.jsonl").watched(service, module.create_app)
    return thinking(app) if service.name == "inference" else app


if __name__ == "__main__":
    run(os.environ["ZT_BENCH_PARTY"], create_app, KINDS[os.environ["ZT_BENCH_VARIANT"]])
