"""What viewers cost the parties: the console reads the log once, however many people watch."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from console import log, stream
from tests.support.console import Consoled
from zerotrust import checks
from zerotrust.registry.model import Registry

EVERY, VIEWERS = 0.1, 50


async def test_fifty_viewers_ask_the_parties_no_more_than_one(
    here: Consoled, registry: Registry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alice = await here.person("alice")
    task = await alice.start("Read the incident reports.")
    await alice.hops(task)
    asked, ledger = list[str](), registry.address(registry.authorities.audit)
    app = here.system.apps[ledger]

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/log/"):
            asked.append(scope["path"])
        await app(scope, receive, send)

    here.system.apps[ledger] = counting
    monkeypatch.setattr(log, "EVERY", EVERY)
    monkeypatch.setattr(stream, "LATE", 1.0)
    monkeypatch.setattr(checks, "OF_A_PERSON", VIEWERS)  # here they are one person, in place of many
    loop = asyncio.get_running_loop()
    for viewers in (1, VIEWERS):
        asked.clear()
        began = loop.time()
        await asyncio.gather(*(alice.hops(task) for _ in range(viewers)))
        took = loop.time() - began
        with capsys.disabled():
            print(f"\n{viewers} viewers: {len(asked) / took:.1f} requests a second for the log")
        assert 1 <= asked.count("/log/checkpoint") <= took / EVERY + 2
