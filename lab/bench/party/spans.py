"""What a party did and when, by the clock that all processes of a machine share; written when it ends."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zerotrust.audit.event import Data
from zerotrust.service import Service


class Spans:
    """Watches a service from outside: requests, commits of its journal, questions to Keycloak, identities it got."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: list[tuple[str, float, float]] = []

    def watched(self, service: Service, create_app: Callable[[Service], ASGIApp]) -> ASGIApp:
        """The app of this service, every span of it noted."""
        self._watch_commits(service)
        self._watch_questions(service)
        self._watch_identities(service)
        app = create_app(service)

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            began = time.monotonic()
            if scope["type"] == "lifespan":
                return await app(scope, receive, self._writing(send))
            await app(scope, receive, send)
            return self._note("request", began)

        return watched

    def _note(self, kind: str, began: float) -> None:
        self._seen.append((kind, began, time.monotonic()))

    def _writing(self, send: Send) -> Send:
        async def writing(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                self._path.write_text("".join(f"{json.dumps(span)}\n" for span in self._seen))
            await send(message)

        return writing

    def _watch_commits(self, service: Service) -> None:
        append = service.recorder.append

        def watched(data: Data) -> asyncio.Future[None]:
            began = time.monotonic()
            durable = append(data)
            durable.add_done_callback(lambda _: self._note("commit", began))
            return durable

        service.recorder.append = watched  # type: ignore[method-assign]

    def _watch_questions(self, service: Service) -> None:
        async def asked(request: httpx.Request) -> None:
            request.extensions["began"] = time.monotonic()

        async def answered(response: httpx.Response) -> None:
            await response.aread()
            self._note(response.url.path.rpartition("/")[2], response.request.extensions["began"])

        service._identity_http.event_hooks = {"request": [asked], "response": [answered]}

    def _watch_identities(self, service: Service) -> None:
        fetch = service._exchanger._workload.assertion

        async def watched(audience: str) -> str:
            began = time.monotonic()
            try:
                return await fetch(audience)
            finally:
                self._note("identity", began)

        service._exchanger._workload.assertion = watched  # type: ignore[method-assign]
