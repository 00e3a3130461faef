"""The documents tool, through its gate and the official MCP client."""

import asyncio
import contextlib
import sqlite3
import tomllib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.support.attack import tool_call
from tests.support.clients import said, tools, use
from tests.support.issuer import Issuer
from tests.support.pdp import elsewhere
from tests.support.system import ROOT, System, running
from tools.documents import store
from tools.documents.document import MAX_ID, MAX_TEXT, MAX_TITLE, Document
from tools.documents.store import LONGEST_WORD, MOST_DRAFTS, MOST_NAMED, MOST_WORDS, Store
from zerotrust import VERSION
from zerotrust.decision import Reason
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.tool.mcp_tools import ERA

Token = Callable[..., str]
Stored = Callable[[], dict[str, dict[str, str]]]
BOB = {"sub": "bob", "groups": ["/finance"]}
MCP_HEADERS = {"mcp-protocol-version": ERA.decode(), "accept": "application/json", "content-type": "application/json"}


@pytest.fixture(params=["in process", "elsewhere"])
async def system(request: pytest.FixtureRequest, tmp_path: Path, issuer: Issuer) -> AsyncIterator[System]:
    """All services; they decide by the policies in process, or ask a decision point for each decision."""
    decided_by = elsewhere if request.param == "elsewhere" else None
    async with running(tmp_path, issuer=issuer, decided_by=decided_by) as system:
        yield system


def decided(system: System) -> list[dict[str, Any]]:
    """What the tool has on record, but for the listing by which the client checks what it is answered."""
    return [r for r in system.records("tool/documents") if r.get("operation") != "POST tools/list"]


async def drafted(system: System, token: str, **more: Any) -> dict[str, str]:
    result = await use(system, token, "create", title="Summary", text="All is well.", **more)
    assert result.structured_content is not None, said(result)
    return dict(result.structured_content)


# reading


async def test_a_document_of_the_users_department_is_read_and_both_decisions_are_on_record(
    system: System, reading: Token
) -> None:
    result = await use(system, reading(), "read", id="ENG-101")

    assert not result.is_error
    assert result.structured_content is not None
    assert result.structured_content["title"] == "Incident report: certificate expired"
    by_scope, by_document = decided(system)
    assert (by_scope["operation"], by_scope["permission"]) == ("POST tools/call read", "tool.read")
    assert (by_document["operation"], by_document["resource"]) == ("document.read", "Document ENG-101")
    assert by_scope["trace_id"] == by_document["trace_id"]
    assert {by_scope["reason"], by_document["reason"]} == {"granted"}
    assert by_document["attributes"] is None


async def test_the_record_of_a_refusal_says_what_it_depended_on(system: System, reading: Token) -> None:
    await use(system, reading(), "read", id="FIN-204")
    await use(system, reading(), "read", id="FIN-999")

    there, nowhere = (record["attributes"] for record in decided(system) if "resource" in record)
    known = {"department": "/finance", "state": "published", "classification": "restricted"}
    assert there == known | {"owner": there["owner"]}
    assert nowhere["state"] == "absent"


async def test_a_search_is_for_a_bounded_number_of_words_of_bounded_length(tmp_path: Path) -> None:
    long, who = "y" * LONGEST_WORD, {"department": "/engineering", "owner": "alice"}
    async with (kept := Store(tmp_path / "documents.db")).open():
        await kept.add(Document(id="LONG-1", title=f"{long}y", text="", **who))

        async def found(*words: str) -> list[str]:
            return [entry.id for entry in await kept.search(" ".join(words), *who.values())]

        others = [f"nothing{number}" for number in range(MOST_WORDS - 1)]
        assert await found(*others, long) == ["LONG-1"]
        assert await found(f"{long}y") == await found(*others, "another", long) == []


async def test_each_record_names_the_code_that_is_approved_for_its_writer(system: System, reading: Token) -> None:
    documents = system.services["tool/documents"]
    approved = system.snapshot.approved
    await use(system, reading(), "read", id="ENG-101")
    other = approved["tool/documents"].model_copy(update={"code": "0" * 64})
    update = {"approved": {**approved, "tool/documents": other}}
    documents.use(documents.snapshot.model_copy(update=update), documents._decider.policy)
    await use(system, reading(), "read", id="ENG-102")

    named = list(dict.fromkeys(record["measurement"] for record in system.records("tool/documents")))
    assert named == [approved["tool/documents"].code, "0" * 64]


# writing


async def test_what_is_created_is_a_draft_of_the_user_whatever_else_is_asked(
    system: System, writing: Token, stored: Stored
) -> None:
    before = stored()
    flattering = {"owner": "bob", "department": "/finance", "state": "published", "id": "ENG-101"}
    flattering["classification"] = "public"

    draft = await drafted(system, writing(), **flattering)

    assert stored().keys() - before.keys() == {draft["id"]}
    assert stored()[draft["id"]] == {
        "id": draft["id"],
        "title": "Summary",
        "text": "All is well.",
        "department": "/engineering",
        "state": "draft",
        "owner": "alice",
        "classification": "internal",
    }
    assert stored()["ENG-101"] == before["ENG-101"]


# how much


LONGEST_TEXTS = {
    "plain": "x" * (MAX_TEXT - 2),
    "quotation marks": '"' * (MAX_TEXT // 2 - 1),
    "backslashes": "\\" * (MAX_TEXT // 2 - 1),
    "control characters": "\x01" * ((MAX_TEXT - 2) // 6),
    "lines": "\n" * (MAX_TEXT // 2 - 1),
    "letters of other scripts": "й" * (MAX_TEXT // 2 - 1),
    "beyond the basic plane": "😀" * (MAX_TEXT // 4 - 1),
}


@pytest.mark.parametrize("kind", LONGEST_TEXTS)
async def test_the_longest_text_can_be_read_and_one_more_character_is_refused(
    system: System, reading: Token, writing: Token, kind: str
) -> None:
    text = LONGEST_TEXTS[kind]
    made = await use(system, writing(), "create", title='"' * MAX_TITLE, text=text)
    assert made.structured_content is not None, said(made)
    name = made.structured_content["id"]
    headers = MCP_HEADERS | {"mcp-method": "tools/call", "mcp-name": "read"}
    answer = await system.client("tool/documents", reading()).post(
        "/mcp", json=tool_call("read", id=name), headers=headers
    )
    assert answer.headers["content-type"] == "application/json"  # who takes JSON alone gets that
    assert answer.json()["result"]["structuredContent"]["text"] == text
    assert len(answer.content) < MAX_ANSWER / 2

    for tool, given in (("create", {"title": "x"}), ("replace", {"id": name})):
        result = await use(system, writing(), tool, text=text + text[0], **given)
        assert said(result).endswith(f"{tool}: missing, too long or no text: text")


async def test_an_id_or_title_that_is_too_long_is_refused(system: System, reading: Token, writing: Token) -> None:
    assert said(await use(system, reading(), "read", id="x" * (MAX_ID + 1))).endswith("text: id")
    long = await use(system, writing(), "create", title="x" * (MAX_TITLE + 1), text="x")
    assert said(long).endswith("create: missing, too long or no text: title")


async def test_a_text_that_was_stored_before_there_was_a_limit_is_an_error_of_its_own(
    system: System, reading: Token, writing: Token
) -> None:
    name = (await drafted(system, writing()))["id"]
    with contextlib.closing(sqlite3.connect(system.folder / "tool-documents" / "documents.db")) as database:
        database.execute("update documents set text = ? where id = ?", ("x" * 600_000, name))
        database.commit()

    assert said(await use(system, reading(), "read", id=name)).endswith(f"{name} is too long to be read")


async def test_what_has_begun_at_the_database_ends_though_its_caller_is_cancelled(tmp_path: Path) -> None:
    """As a call is whose caller leaves, or is revoked.  A connection that was being opened would stay open."""
    draft = Document(id="DRAFT-1", title="x", text="x", department="/engineering", owner="alice")
    longer = draft.model_copy(update={"text": "longer"})
    begun: list[Callable[[Store], Coroutine[Any, Any, object]]] = [
        lambda store: store.add(draft),
        lambda store: store.replace(draft, "longer"),
        lambda store: store.remove(longer),
    ]
    for begin, after in zip(begun, (draft, longer, None), strict=True):
        store = Store(tmp_path / "documents.db")
        async with store.open():
            caller = asyncio.create_task(begin(store))
            await asyncio.sleep(0)
            caller.cancel()
        async with store.open():
            assert await store.find(draft.id) == after


async def test_a_search_reads_no_text_and_nothing_of_other_departments(
    system: System, reading: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []
    search = Store.search

    async def watched(store: Store, *given: Any) -> Any:
        def noted(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            asked.append((statement, parameters))

        event.listen(store._engine.sync_engine, "before_cursor_execute", noted)
        return await search(store, *given)

    monkeypatch.setattr(Store, "search", watched)
    await use(system, reading(**BOB), "search", query="incident reports")

    ((statement, parameters),) = asked
    with contextlib.closing(sqlite3.connect(system.folder / "tool-documents" / "documents.db")) as database:
        rows = list(database.execute(statement.replace("SELECT ", "SELECT documents.department, "), parameters))
        plan = str(list(database.execute(f"explain query plan {statement}", parameters)))
    assert {row[0] for row in rows} == {"/finance"}
    assert "documents.text" not in statement
    assert "COVERING INDEX by_department (department=?)" in plan  # no row is touched, and each holds its text


async def test_a_user_has_so_many_drafts_and_no_more_until_one_is_deleted(
    system: System, writing: Token, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are asked for at once: what is counted stays so until the draft is there."""
    monkeypatch.setattr(store, "MOST_DRAFTS", 5)
    results = await asyncio.gather(*(use(system, writing(), "create", title="x", text="x") for _ in range(10)))

    mine = [d["id"] for d in stored().values() if d["owner"] == "alice"]
    assert len(mine) == 5
    latest = no_room(mine)
    assert [said(r) for r in results if r.is_error] == [f"Error executing tool create: {latest}"] * 5
    await drafted(system, writing(sub="carol"))
    await drafted(system, writing(**BOB))

    assert not (await use(system, writing(), "replace", id=mine[0], text="y")).is_error
    assert not (await use(system, writing(), "delete", id=mine[0])).is_error
    await drafted(system, writing())


async def test_a_users_drafts_have_so_many_bytes_and_no_more(
    system: System, writing: Token, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_BYTES", 2 * MAX_TEXT + 100)
    longest = "x" * (MAX_TEXT - 2)
    for _ in range(2):
        assert not (await use(system, writing(), "create", title="x", text=longest)).is_error
    small = await drafted(system, writing())
    mine = [d["id"] for d in stored().values() if d["owner"] == "alice"]

    for tool, given, others in (("create", {"title": "x"}, mine), ("replace", {"id": small["id"]}, mine[:-1])):
        result = await use(system, writing(), tool, text=longest, **given)
        assert said(result) == f"Error executing tool {tool}: {no_room(others)}"
        assert system.reasons("tool/documents")[-1] == Reason.APPLICATION_ERROR
    assert stored()[small["id"]] == small
    assert not (await use(system, writing(sub="carol"), "create", title="x", text=longest)).is_error


async def test_it_is_told_that_a_rule_refuses_only_where_the_user_may_read_the_document(
    system: System, writing: Token
) -> None:
    for name, why in ("ENG-101", "refused (resource_denied)"), ("FIN-201", "there is no document FIN-201"):
        assert f": {why}" in said(await use(system, writing(), "delete", id=name))


def no_room(drafts: list[str]) -> str:
    """What a user is told who has these drafts, in the order in which they were filed."""
    return (
        f"no room: a user has at most {store.MOST_DRAFTS} drafts and {store.MOST_BYTES} bytes of them in a department; "
        f"delete one, the latest are {', '.join(drafts[: -MOST_NAMED - 1 : -1])}"
    )


def _store(system: System, owner: str, department: str, number: int) -> list[str]:
    """Drafts, as if they had been filed one after the other, with ids in the opposite order."""
    names = [f"DRAFT-{owner}{department}-{n:03}" for n in reversed(range(number))]
    columns, values = "(id, title, text, department, state, owner)", "(?, 'Incident', 'x', ?, 'draft', ?)"
    with contextlib.closing(sqlite3.connect(system.folder / "tool-documents" / "documents.db")) as database:
        rows = [(name, department, owner) for name in names]
        database.executemany(f"insert into documents {columns} values {values}", rows)  # noqa: S608
        database.commit()
    return names


async def test_whoever_has_too_many_drafts_is_told_ids_of_their_own_that_this_task_can_delete(
    system: System, writing: Token
) -> None:
    """Drafts of another department are neither named nor counted: no task of this one can delete them."""
    mine = _store(system, "alice", "/engineering", MOST_DRAFTS)
    _store(system, "alice", "/finance", MOST_DRAFTS)
    _store(system, "carol", "/engineering", MOST_DRAFTS)

    assert said(await use(system, writing(), "create", title="x", text="x")).endswith(no_room(mine))
    assert not (await use(system, writing(), "delete", id=mine[-1])).is_error
    await drafted(system, writing())


# the protocol's door


async def test_the_official_client_finds_the_right_era_by_itself_and_hears_of_what_is_served(
    system: System, reading: Token
) -> None:
    async with tools(system, reading(), mode="auto") as client:
        offered, told = client.server_capabilities, client.server_info
        assert not (await client.call_tool("read", {"id": "ENG-101"})).is_error

    assert offered.tools is not None
    assert not offered.tools.list_changed  # there is nothing to subscribe to
    assert offered.model_dump(exclude_none=True).keys() == {"tools"}
    assert told is not None
    assert told.version == VERSION == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


async def test_who_has_no_token_is_told_where_to_get_one(system: System) -> None:
    client = system.client("tool/documents")
    challenge = (await client.post("/mcp", json={}, headers=MCP_HEADERS)).headers["www-authenticate"]
    address = "https://documents.tool.agents.example"
    assert challenge == (
        f'Bearer realm="zero-trust", resource_metadata="{address}/.well-known/oauth-protected-resource/mcp"'
    )

    metadata = (await client.get(challenge.split('"')[-2])).json()
    assert metadata == {
        "resource": f"{address}/mcp",
        "authorization_servers": ["https://issuer.test/realms/agents"],
        "scopes_supported": ["tool.read", "tool.write"],
        "bearer_methods_supported": ["header"],
    }
