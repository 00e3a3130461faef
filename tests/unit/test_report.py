"""What attestation tells the registry goes on whatever is in the way: nobody else would tell it."""

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from authorities.attestation.verifier import report as reporting
from tests.support.ca import REGISTRY_PARTY, the_ca
from zerotrust.spiffe.svid import Svid

NO_ROOM = OSError(errno.EMFILE, "Too many open files")


class Source:
    """Whoever knows, and what is done with it."""

    def __init__(self) -> None:
        self.logged: list[tuple[str, str]] = []
        self.used: list[Mapping[str, str]] = []
        self.made = 0
        self.trouble: Exception | None = None

    async def changes(self) -> AsyncIterator[dict[str, str]]:
        yield {"agent/reader": "main.py"}
        await asyncio.Event().wait()

    def svid(self) -> Svid:
        self.made += 1
        if self.made > 1 and self.trouble:
            raise self.trouble
        return the_ca().svid("authority/attestation")

    def use(self, read_from: Mapping[str, str]) -> None:
        if self.trouble:
            raise self.trouble
        self.used.append(read_from)

    def log(self, event: str, **fields: object) -> None:
        self.logged.append((event, str(fields["why"])))


@pytest.mark.parametrize("trouble", [NO_ROOM, KeyError("registry.lock"), httpx.ReadError("gone")])
@pytest.mark.parametrize("where", ["renewing", "sending", "using"])
async def test_whatever_is_in_the_way_of_a_report_is_no_end_of_the_reports(
    monkeypatch: pytest.MonkeyPatch, where: str, trouble: Exception
) -> None:
    source, sent = Source(), list[dict[str, str]]()

    async def send(_http: httpx.AsyncClient, _url: str, drifted: dict[str, str]) -> dict[str, str]:
        sent.append(drifted)
        if where == "sending" and source.trouble:
            raise source.trouble
        return {"registry.lock": "1"}

    monkeypatch.setattr(reporting, "_send", send)
    monkeypatch.setattr(reporting, "SECONDS_BETWEEN", 0.01)
    if where == "renewing":
        monkeypatch.setattr(reporting, "_half_life", lambda _: 0.0)
    source.trouble = trouble
    task = asyncio.create_task(
        reporting.report(
            "https://localhost:1",
            REGISTRY_PARTY,
            source.changes(),
            svid=source.svid,
            log=source.log,
            use=source.use,
        )
    )
    async with asyncio.timeout(10):
        while not source.logged:
            await asyncio.sleep(0.01)
        source.trouble = None
        while not source.used:
            await asyncio.sleep(0.01)
    task.cancel()

    assert source.logged[0] == ("not reported", f"{type(trouble).__name__} {trouble}")
    assert source.logged[-1] == ("reported", "")
    assert sent[-1] == {"agent/reader": "main.py"}
