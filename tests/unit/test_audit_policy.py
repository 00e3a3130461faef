"""The policy of the audit log, as a run keeps it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from start import everything
from start.earlier_runs import AUDIT_POLICY, POLICY_BEFORE, forget

PUBLISHED = "log …\nwitness registry …\nquorum registry\n".encode()


def _system(folder: Path, answers: Iterator[httpx.Response]) -> Any:
    transport = httpx.MockTransport(lambda _: next(answers))
    return SimpleNamespace(
        folder=folder,
        registry=SimpleNamespace(authorities=SimpleNamespace(registry="authority/registry")),
        address=lambda _: "https://registry.example",
        user=lambda: httpx.AsyncClient(transport=transport),
    )


async def _kept(folder: Path, *answers: httpx.Response) -> list[str]:
    said: list[str] = []
    await asyncio.wait_for(everything.keep_audit_policy(_system(folder, iter(answers)), said.append), 30)
    return said


async def test_it_is_written_when_the_log_has_its_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "SECONDS_BETWEEN_TRIES", 0)
    assert await _kept(tmp_path, httpx.Response(404), httpx.Response(200, content=PUBLISHED)) == []
    assert (tmp_path / AUDIT_POLICY).read_bytes() == PUBLISHED


async def test_the_first_one_stays_and_another_one_is_told(tmp_path: Path) -> None:
    await _kept(tmp_path, httpx.Response(200, content=PUBLISHED))
    assert await _kept(tmp_path, httpx.Response(200, content=PUBLISHED)) == []
    (told,) = await _kept(tmp_path, httpx.Response(200, content=b"quorum none\n"))
    assert "another policy" in told
    assert "make fresh" in told
    assert (tmp_path / AUDIT_POLICY).read_bytes() == PUBLISHED


def test_it_goes_with_the_log(tmp_path: Path) -> None:
    (tmp_path / AUDIT_POLICY).write_bytes(PUBLISHED)
    forget(tmp_path)
    assert not (tmp_path / AUDIT_POLICY).exists()
    assert (tmp_path / POLICY_BEFORE).read_bytes() == PUBLISHED
    forget(tmp_path)
