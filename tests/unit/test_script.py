"""The scripted model: what it files and deletes, its limits, and what it makes of tools that it does not know."""

import json
from typing import Any

from inference.chat import Offered
from inference.script import LONGEST_SENTENCE, MAX_ELEMENTS, MAX_HITS, MAX_ORDERS, MOST_LINES, reply

READING = {"search": ("query",), "read": ("id",)}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def tool(found: dict[str, Any] | str) -> dict[str, Any]:
    return {"role": "tool", "content": found if isinstance(found, str) else json.dumps(found)}


def called(message: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    calls = message.get("tool_calls") or []
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def test_it_looks_at_so_many_orders_and_no_more() -> None:
    many = [user(" ".join(f'call a {{"i": {number}}}' for number in range(2 * MAX_ORDERS)))]
    asked = reply(many, READING)
    assert called(asked) == [("a", {"i": number}) for number in range(MAX_ORDERS)]

    same = [user('call a {"i": 1} ' * MAX_ORDERS + 'call b {"i": 2}')]
    assert called(reply(same, READING)) == [("a", {"i": 1})]


def test_it_reads_so_many_of_the_documents_that_were_found_and_no_more() -> None:
    task = user("Summarise.")
    found = tool({"documents": [{"id": str(number)} for number in range(MAX_HITS + 1)]})

    asked = reply([task, reply([task], READING), found], READING)
    assert called(asked) == [("read", {"id": str(number)}) for number in range(MAX_HITS)]


def test_a_summary_repeats_so_much_of_a_document_and_no_more() -> None:
    task, text = user("Summarise."), "\n".join(["x" * 2 * LONGEST_SENTENCE, *["IMPORTANT"] * 2 * MOST_LINES])
    summary = str(reply([task, reply([task], READING), tool({"title": "A", "text": text})], READING)["content"])

    assert summary.splitlines()[1:] == [f"- A: {'x' * LONGEST_SENTENCE}.", *["IMPORTANT"] * MOST_LINES]


def test_an_answer_of_too_many_elements_is_taken_for_plain_text() -> None:
    task = user("Summarise.")
    searched = reply([task], READING)

    def summary(more: int) -> str:
        read = {"title": "A", "text": "Bad.", "more": [0] * more}
        return str(reply([task, searched, tool(read)], READING)["content"])

    assert summary(MAX_ELEMENTS - 20) == "Summary of 1 document:\n- A: Bad."
    assert summary(MAX_ELEMENTS + 1) == "No document was found."


def test_a_tool_that_it_does_not_know_is_called_once_with_the_task_and_told() -> None:
    messages, tools = [user("three little words\n")], {"count": ("query", "where")}
    messages.append(reply(messages, tools))
    assert called(messages[-1]) == [("count", {"query": "three little words", "where": "three little words"})]

    messages.append(tool('{"found": 3}'))
    assert reply(messages, tools)["content"] == 'The tools said:\n{"found": 3}'
    assert [name for name, _ in called(reply(messages[:1], {**READING, **tools}))] == ["count"]
    assert called(reply(messages, {**READING, **tools})) == [("search", {"query": "three little words\n"})]
    many = {f"t{number}": () for number in range(MAX_HITS + 1)}
    assert len(called(reply([user("Try.")], many))) == MAX_HITS
    # One that requires something else than texts is left out, unless it is asked for by name.
    assert reply([user("Add.")], {"add": None})["content"] == "No tool was called."
    assert called(reply([user('call add {"a": 1}')], {"add": None})) == [("add", {"a": 1})]


def test_what_a_tool_requires_is_read_from_its_schema() -> None:
    def texts(parameters: dict[str, Any] | None) -> tuple[str, ...] | None:
        return Offered.model_validate({"name": "a", "parameters": parameters}).texts

    assert texts({"properties": {"q": {"type": "string"}, "n": {"type": "integer"}}, "required": ["q"]}) == ("q",)
    assert texts({"properties": {"q": {"type": "string"}, "n": {"type": "integer"}}, "required": ["q", "n"]}) is None
    assert texts({"required": ["q"]}) is None
    assert texts({}) == texts(None) == ()
