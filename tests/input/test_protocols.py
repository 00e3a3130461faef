"""What the SDKs of both protocols, and the model, make of messages that are none: precise, and no word of Python's."""

import json
from typing import Any

import pytest

from tests.support.attack import DOORS, Target, message, tool_call
from tests.support.attack_wire import asked_once, request, served, with_certificate
from tests.support.ca import the_ca
from tests.support.receipts import carried
from zerotrust.decision import Reason
from zerotrust.transport.jsonrpc import LONGEST_ID

INTERNALS = ("Error:", "error for", "Traceback", "pydantic", "NoneType", "site-packages", "Failed to parse", "sqlite")
DEEP = json.loads('{"a":' * 60 + "1" + "}" * 60)
HI = message("Hi.")
SAID = HI["params"]["message"]
UNREADABLE: dict[str, list[dict[str, Any]]] = {
    "an image": [{"raw": "AAAA", "mediaType": "image/png"}],
    "an image beside a text": [{"text": "Summarise this."}, {"raw": "AAAA", "mediaType": "image/png"}],
    "a file that lies elsewhere": [{"url": "http://attacker.test/x", "mediaType": "text/plain"}],
    "data": [{"data": {"query": "incident"}}],
    "a text that is a page": [{"text": "<p>Hi.</p>", "mediaType": "text/html"}],
}


def check_told(text: str) -> None:
    """What is told is the protocol's, not Python's, and short."""
    assert [word for word in INTERNALS if word in text] == []
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", -32700, id="nothing"),
        pytest.param({}, -32600, id="an empty object"),
        pytest.param(HI | {"jsonrpc": "1.0"}, -32600, id="another JSON-RPC"),
        pytest.param(HI | {"method": 7}, -32600, id="a method that is a number"),
        pytest.param(HI | {"method": ""}, -32600, id="no method"),
        pytest.param(HI | {"method": "x" * 100_000}, -32601, id="a method that nobody knows"),
        pytest.param(HI | {"method": "message/send"}, -32601, id="a method of an older A2A"),
        pytest.param(HI | {"id": [1]}, -32600, id="an id that is a list"),
        pytest.param(HI | {"id": True}, -32600, id="an id that is a bool"),
        pytest.param(HI | {"params": None}, -32602, id="params null"),
        pytest.param(HI | {"params": "x"}, -32600, id="params a text"),
        pytest.param(HI | {"params": [1]}, -32602, id="params a list"),
        pytest.param(HI | {"params": {}}, -32602, id="no message"),
        pytest.param(HI | {"params": {"message": 7}}, -32602, id="a message that is a number"),
        pytest.param(HI | {"params": {"message": SAID | {"parts": []}}}, -32602, id="no parts"),
        pytest.param(HI | {"params": {"message": SAID | {"parts": [7]}}}, -32602, id="a part that is a number"),
        pytest.param(HI | {"params": {"message": SAID | {"parts": [{"text": 7}]}}}, -32602, id="a text that is none"),
        pytest.param(HI | {"params": {"message": SAID | {"role": "root"}}}, -32602, id="a role that nobody has"),
        pytest.param(HI | {"params": {"message": SAID | {"metadata": DEEP}}}, -32602, id="nested deeper than the SDK"),
        pytest.param(HI | {"params": {"message": SAID | {"taskId": "t"}}}, -32001, id="a task that nobody has"),
        pytest.param(HI | {"method": "GetTask", "params": {"id": 7}}, -32602, id="a task's id that is a number"),
        pytest.param(HI | {"method": "GetTask", "params": {"id": "x"}}, -32001, id="a task that is not there"),
        pytest.param(HI | {"method": "ListTasks", "params": {"pageToken": "!"}}, -32602, id="a page that is none"),
        pytest.param(HI | {"method": "SendStreamingMessage"}, -32004, id="a stream"),
        pytest.param(
            HI | {"method": "CreateTaskPushNotificationConfig", "params": {"taskId": "x", "url": "http://x.test"}},
            -32003,
            id="a push notification",
        ),
        pytest.param(HI | {"method": "GetExtendedAgentCard", "params": {}}, -32004, id="the extended card"),
        pytest.param({name: said for name, said in HI.items() if name != "id"}, -32600, id="no id"),
        pytest.param(HI | {"id": None}, -32600, id="an id that is null"),
        *[
            pytest.param(HI | {"params": {"message": SAID | {"parts": parts}}}, -32005, id=name)
            for name, parts in UNREADABLE.items()
        ],
        pytest.param(
            HI | {"params": {"message": SAID, "configuration": {"acceptedOutputModes": ["image/png"]}}},
            -32005,
            id="an answer as an image",
        ),
    ],
)
async def test_an_a2a_request_that_is_none_gets_the_protocols_error(
    target: Target, body: dict[str, Any] | bytes, code: int
) -> None:
    tried = await target.send("agent/reader", target.token("agent/reader"), body=body)

    assert (tried.answer.status_code, tried.answer.json()["error"]["code"]) == (200, code)
    check_told(tried.answer.text)
    assert target.issuer.exchanges == []  # nothing was begun


async def test_an_mcp_request_that_is_none_gets_the_protocols_error(target: Target) -> None:
    body = tool_call("read")
    body["params"]["requestState"] = 7
    tried = await target.send("tool/documents", target.token("tool/documents"), body=body)

    assert (tried.answer.status_code, tried.answer.json()["error"]["code"]) == (400, -32602)
    check_told(tried.answer.text)


@pytest.mark.parametrize(
    ("tool", "arguments", "wrong"),
    [
        ("read", {}, "id"),
        ("read", {"id": None}, "id"),
        ("read", {"id": ["ENG-101"]}, "id"),
        ("read", {"id": DEEP}, "id"),
        ("read", {"id": "x" * 65}, "id"),
        ("search", {"query": 7}, "query"),
        ("create", {"title": "x" * 201, "text": None}, "text, title"),
        ("replace", {}, "id, text"),
    ],
)
async def test_arguments_that_a_tool_does_not_take_are_named_and_not_quoted(
    target: Target, tool: str, arguments: dict[str, Any], wrong: str
) -> None:
    token = target.writing() if tool in ("create", "replace") else target.token("tool/documents")
    tried = await target.send("tool/documents", token, body=tool_call(tool, **arguments))

    result = tried.answer.json()["result"]
    assert result["isError"]
    assert result["content"][0]["text"] == f"{tool}: missing, too long or no text: {wrong}"
    check_told(carried(tried.answer).content.decode())


async def test_a_word_counts_once_however_often_it_is_asked_for(target: Target) -> None:
    body = tool_call("search", query="words " * 60 + "incident " * 60)
    tried = await target.send("tool/documents", target.token("tool/documents"), body=body)

    assert len(tried.answer.json()["result"]["structuredContent"]["documents"]) == 4


@pytest.mark.parametrize(
    ("header", "status", "reason"),
    [
        ((b"accept", None), 400, Reason.MALFORMED_HEADERS),
        ((b"accept", b"text/html"), 400, Reason.MALFORMED_HEADERS),
        ((b"content-type", b"text/plain"), 400, Reason.MALFORMED_HEADERS),
        ((b"host", b"attacker.test"), 421, Reason.WRONG_HOST),
        ((b"host", b"documents.tool.agents.example:8105"), 421, Reason.WRONG_HOST),
        ((b"host", b"documents.tool.agents.example:"), 421, Reason.WRONG_HOST),
        ((b"host", b"documents.tool.agents.example:443:443"), 421, Reason.WRONG_HOST),
        ((b"origin", b"http://attacker.test"), 403, Reason.WRONG_ORIGIN),
    ],
)
async def test_what_the_tools_transport_refuses_is_a_refusal_like_any_other(
    target: Target, header: tuple[bytes, bytes | None], status: int, reason: Reason
) -> None:
    tried = await target.send("tool/documents", target.token("tool/documents"), headers=[header])

    assert (tried.answer.status_code, tried.problem["reason"]) == (status, reason)
    assert tried.reasons == [Reason.GRANTED, reason]
    answer = tried.answer.json()
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 1)
    if status == 400:
        assert "resource_metadata=" in tried.answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("documents.tool.agents.example", 200),
        ("Documents.Tool.Agents.EXAMPLE", 200),
        ("documents.tool.agents.example:443", 200),
        ("Documents.tool.agents.example:PORT", 200),
        ("documents.tool.agents.example:1", 421),
        ("attacker.test:PORT", 421),
    ],
)
async def test_the_tools_name_is_its_name_in_any_case_and_at_its_own_port(
    target: Target, host: str, status: int
) -> None:
    party = "tool/documents"
    tls = with_certificate(the_ca().svid("agent/reader"))
    async with served(target, party) as port:
        named = f"host: {host.replace('PORT', str(port))}\r\nmcp-method: tools/call\r\nmcp-name: read\r\n"
        asked = request(target, party, target.token(party)).replace(b"host: x\r\n", named.encode())

        answer = await asked_once(port, party, tls, asked)

    assert answer.split()[1] == str(status).encode()


@pytest.mark.parametrize("party", ["agent/reader", "tool/documents"])
async def test_who_is_refused_before_the_body_is_read_gets_json_rpc(target: Target, party: str) -> None:
    tried = await target.send(party, None, reason=Reason.NO_TOKEN)

    error = tried.answer.json()
    assert (tried.answer.status_code, error["error"]["code"], error["id"]) == (401, -32010, None)


@pytest.mark.parametrize("party", ["agent/reader", "tool/documents"])
async def test_an_id_too_long_to_be_echoed_is_refused(target: Target, party: str) -> None:
    good = dict(DOORS[party].body)
    longest = await target.send(party, target.token(party), body=good | {"id": "x" * LONGEST_ID})
    too_long = await target.send(party, target.token(party), body=good | {"id": "x" * (LONGEST_ID + 1)})

    assert longest.answer.json()["id"] == "x" * LONGEST_ID
    assert (too_long.answer.status_code, too_long.problem["reason"]) == (400, Reason.MALFORMED_BODY)
    assert len(carried(too_long.answer).content) < 300


USER = {"role": "user", "content": "Summarise."}
OFFERED = [{"function": {"name": name}} for name in ("search", "read", "create")]


def called(name: str, arguments: str) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize(
    "found",
    [
        '{"documents": 7}',
        '{"documents": [7, {}, {"id": {}}]}',
        '{"text": ""}',
        '{"text": 7}',
        '{"text": "x", "title": []}',
        '{"id": []}',
        "[" * 5000,
        '{"a": ' * 5000,
        '{"text": "call read {\\"id\\": [[[["}',
        f'call read {{"id": {"[" * 5000}}}',
        'call read {"name": "x"}',
        'call read {"id": "\\ud800"}',
        f'call read {{"id": {"9" * 5000}}}',
        "call read {} " * 5000,
    ],
    ids=lambda found: found[:30],
)
@pytest.mark.parametrize("role", ["tool", "user", "assistant", "nobody"])
async def test_the_model_takes_whatever_a_tool_found_or_a_document_says(target: Target, found: str, role: str) -> None:
    messages = [USER, called("search", '{"query": "x", "name": "y"}'), {"role": role, "content": found}]
    asked = dict(DOORS["inference"].body) | {"messages": messages, "tools": OFFERED}

    tried = await target.send("inference", target.token("inference"), body=asked)

    assert tried.answer.status_code == 200
    assert len(tried.answer.content) < 100_000
