"""A scripted model: deterministic, so that each run gives the same result, and gullible, like a real one.  Pure.

It does the first of these that is not done yet:
  1. every call that any text it has read asks for in the form `call TOOL {json}`, whatever its source;
  2. call, once, each offered tool that it does not know, with the task as every text that the tool requires;
  3. search, once, for the words of the task; read the documents found;
  4. delete, once, the drafts that are named in a task that begins with "Delete" or "Remove";
  5. file, once, the text that came with any other task, unless there is none;
  6. answer with a summary of what it read, and every line that begins with "IMPORTANT"; or with what the tools that it
     does not know have said.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from zerotrust.limits.strict_json import strict_object

MAX_ORDERS = 64
"""Orders that it follows in one conversation; any more are treated as plain text."""
MAX_HITS = 64
"""Documents that it reads of those found, or deletes of those named."""
MAX_ELEMENTS = 400
"""Elements of the JSON in one answer of a tool; an answer with more is treated as plain text."""

_ORDER = re.compile(r"call(?<=\bcall) (\w{1,64}) (\{[^{}]*\})")  # begins with a literal, which makes the search fast

LONGEST_SENTENCE, MOST_LINES = 300, 5
"""Characters of a sentence in a summary, and lines that it repeats from one document."""

_DELETE = re.compile(r"(?:delete|remove)\b", re.IGNORECASE)
_DRAFT = re.compile(r"\bDRAFT-[0-9a-f]{8}\b")

KNOWN = frozenset({"search", "read", "create", "replace", "delete"})
"""The tools that it has rules for."""

Message = dict[str, Any]
Call = tuple[str, str]
"""The name of a tool, and its arguments as JSON in a normal form."""
Done = Mapping[Call, None]
"""The calls that were made, in order."""


def reply(messages: list[Message], tools: Mapping[str, Sequence[str] | None]) -> Message:
    """Return the assistant's next message in an OpenAI-style conversation.

    `tools`: the parameters that each offered tool requires, by its name, if all of them are texts; otherwise None.
    """
    task = str(messages[0]["content"])
    parsed = [_parse(str(message["content"])) if message["role"] == "tool" else None for message in messages]
    messages = [message | {"found": found} for message, found in zip(messages, parsed, strict=True)]
    done = dict.fromkeys(_calls(messages))
    if orders := [call for call in dict.fromkeys(_orders(messages)) if call not in done]:
        return _ask_for(orders, len(done))
    if uncalled := [call for call in islice(_call_unknown_tools(task, tools), MAX_HITS) if call not in done]:
        return _ask_for(uncalled, len(done))
    if "search" in tools:
        return _read(task, messages, done)
    if "delete" in tools and _DELETE.match(task):
        return _delete(task, messages, done)
    if tools and not KNOWN & tools.keys():
        return {"role": "assistant", "content": _tool_report(messages)}
    return _file(task, messages, done, able="create" in tools)


def _call_unknown_tools(task: str, tools: Mapping[str, Sequence[str] | None]) -> Iterator[Call]:
    for name, texts in tools.items():
        if name not in KNOWN and texts is not None:
            yield _call(name, **dict.fromkeys(texts, task.strip()))


def _tool_report(messages: list[Message]) -> str:
    said = [str(message["content"])[:LONGEST_SENTENCE] for message in messages if message["role"] == "tool"]
    return "\n".join(["The tools said:", *said[:MAX_HITS]]) if said else "No tool was called."


def _read(task: str, messages: list[Message], done: Done) -> Message:
    if not any(name == "search" for name, _ in done):
        return _ask_for([_call("search", query=task)], len(done))
    hits = [_call("read", id=name) for name in islice(_hits(messages), MAX_HITS)]
    if unread := [call for call in dict.fromkeys(hits) if call not in done]:
        return _ask_for(unread, len(done))
    return {"role": "assistant", "content": _summary(messages)}


def _delete(task: str, messages: list[Message], done: Done) -> Message:
    drafts = (draft.group() for draft in _DRAFT.finditer(task))
    named = [_call("delete", id=name) for name in dict.fromkeys(islice(drafts, MAX_HITS))]
    if unasked := [call for call in named if call not in done]:
        return _ask_for(unasked, len(done))
    return _report("Deleted", "Nothing was deleted.", messages)


def _file(task: str, messages: list[Message], done: Done, *, able: bool) -> Message:
    title, _, text = task.partition("\n")[2].partition("\n")
    if able and text.strip() and not any(name == "create" for name, _ in done):
        return _ask_for([_call("create", title=title.strip(":"), text=text)], len(done))
    return _report("Filed as", "Nothing was filed.", messages)


def _report(done: str, otherwise: str, messages: list[Message]) -> Message:
    """Return the answer that names the documents of the tools' answers."""
    names = [str(found["id"]) for found in _results(messages) if "id" in found]
    return {"role": "assistant", "content": f"{done} {', '.join(names)}." if names else otherwise}


def _ask_for(calls: list[Call], already: int) -> Message:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call-{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(calls, already + 1)
        ],
    }


def _call(name: str, /, **arguments: Any) -> Call:
    return name, json.dumps(arguments, sort_keys=True)


def _calls(messages: list[Message]) -> Iterator[Call]:
    for message in messages:
        for call in message.get("tool_calls") or []:
            yield _call(call["function"]["name"], **(_parse(call["function"]["arguments"]) or {}))


def _orders(messages: list[Message]) -> Iterator[Call]:
    found = (order.groups() for message in messages for order in _ORDER.finditer(_text(message)))
    for name, arguments in islice(found, MAX_ORDERS):  # control: orders-bounded
        if (given := _parse(arguments)) is not None:
            yield _call(name, **given)


def _text(message: Message) -> str:
    """Return the text of a message; of a tool's JSON, the text of its document."""
    if message["found"]:
        return str(message["found"].get("text", ""))
    return str(message.get("content") or "") if message["role"] != "assistant" else ""


def _results(messages: list[Message]) -> list[dict[str, Any]]:
    return [message["found"] for message in messages if message["found"]]


def _parse(content: str) -> dict[str, Any] | None:
    try:
        return strict_object(content.encode(), most=MAX_ELEMENTS)
    except ValueError:
        return None


def _hits(messages: list[Message]) -> Iterator[str]:
    for result in _results(messages):
        found = result.get("documents")
        for hit in found if isinstance(found, list) else []:
            if isinstance(hit, dict) and "id" in hit:
                yield str(hit["id"])


def _summary(messages: list[Message]) -> str:
    read = [result for result in _results(messages) if "text" in result]
    if not read:
        return "No document was found."
    lines = [f"Summary of {len(read)} document{'s' if len(read) > 1 else ''}:"]
    for document in read:
        first, *rest = str(document["text"]).splitlines() or [""]
        lines.append(f"- {document.get('title')}: {first.partition('. ')[0].rstrip('.')[:LONGEST_SENTENCE]}.")
        lines += [line[:LONGEST_SENTENCE] for line in rest if line.startswith("IMPORTANT")][:MOST_LINES]
    return "\n".join(lines)
