"""What a notebook shows of its copy of the project: changed lines, a realm, a function that a cell writes into it."""

import json

import pytest

from lab.notebooks.changes import changed_lines, realm_lines, with_function

PROGRAM = """def create_app(service):
    tool = ToolClient(service)

    async def answer(task: str) -> Answer:
        # What it did before.
        return await run(task)

    return agent_app(answer)
"""
CELL = """async def answer(task: str) -> Answer:
    found = await tool.call(task)

    return Answer(text=found)
"""


def test_lines_that_both_texts_have_are_not_shown() -> None:
    assert changed_lines(["a", "b", "c"], ["a", "x", "c", "d"]) == ["-b", "+x", "+d"]
    assert changed_lines(["a"], ["a"]) == []


def test_a_realm_is_a_line_for_each_scope_and_for_each_client_that_gets_tokens_for_a_party() -> None:
    reader = {
        "clientId": "agent/reader",
        "defaultClientScopes": ["basic", "aud:tool/documents", "aud:inference"],
        "optionalClientScopes": ["tool.read", "inference.run"],
    }
    realm = {"clientScopes": [{"name": "tool.read"}], "clients": [reader, {"clientId": "admin-cli"}]}

    assert realm_lines(json.dumps(realm)) == [
        "scope tool.read",
        "client agent/reader: for tool/documents, inference; scopes tool.read, inference.run",
    ]


def test_a_cells_function_takes_the_place_of_the_one_of_its_name_as_deep_as_that_is() -> None:
    written = with_function(PROGRAM, "answer", CELL)

    assert written == PROGRAM.replace(
        "        # What it did before.\n        return await run(task)\n",
        "        found = await tool.call(task)\n\n        return Answer(text=found)\n",
    )
    assert with_function(written, "answer", CELL) == written
    compile(written, "main.py", "exec")


@pytest.mark.parametrize("text", ["x = 1\n", PROGRAM + PROGRAM])
def test_a_function_without_its_one_place_is_not_written(text: str) -> None:
    with pytest.raises(ValueError, match="functions have the name answer"):
        with_function(text, "answer", CELL)
