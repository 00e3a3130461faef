"""The writer, through its gate and the official A2A client."""

from collections.abc import Callable

import pytest

from tests.support.clients import ask, failed, text_of
from tests.support.system import System

Token = Callable[..., str]
Stored = Callable[[], dict[str, dict[str, str]]]
FILE_IT = "File this as a new document:\nSummary of the week\nAll is well."


async def test_it_does_not_say_filed_when_the_tool_refused(
    system: System, asking: Token, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored()

    async def full(*_arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("tools.documents.store.Store.add", full)
    message = await ask(system, "agent/writer", asking("agent/writer"), FILE_IT)

    assert text_of(message) == "Nothing was filed."
    assert len(failed(message)) == 1
    assert "no space" not in failed(message)[0]  # what went wrong inside is no caller's business
    assert stored() == before
