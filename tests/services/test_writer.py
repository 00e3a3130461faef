"""The writer, through its gate and the official A2A client."""

from collections.abc import Callable

import pytest

from tests.support.clients import ask, failed, text_of
from tests.support.issuer import Issuer
from tests.support.system import System

Token = Callable[..., str]
Stored = Callable[[], dict[str, dict[str, str]]]
FILE_IT = "File this as a new document:\nSummary of the week\nAll is well."


async def test_it_files_a_draft_of_its_user(system: System, asking: Token, stored: Stored) -> None:
    before = stored()

    message = await ask(system, "agent/writer", asking("agent/writer"), FILE_IT)

    (name,) = stored().keys() - before.keys()
    assert text_of(message) == f"Filed as {name}."
    assert failed(message) == []
    assert stored()[name] | {"id": ""} == {
        "id": "",
        "title": "Summary of the week",
        "text": "All is well.",
        "department": "/engineering",
        "state": "draft",
        "owner": "alice",
        "classification": "internal",
    }


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


async def test_its_tokens_are_for_writing_and_thinking_and_nothing_else(
    system: System, issuer: Issuer, asking: Token
) -> None:
    await ask(system, "agent/writer", asking("agent/writer"), FILE_IT)

    asked = {(form["audience"].removeprefix("spiffe://agents.example/"), form["scope"]) for form in issuer.exchanges}
    assert asked == {("tool/documents", "tool.write"), ("inference", "inference.run llama.chat")}
