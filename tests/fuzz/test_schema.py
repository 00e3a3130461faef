"""Every port, by its own schema: whatever fits it and whatever does not is answered, and a refusal is the design's.

The gate hands the schema to nobody; it is taken from the app behind it.  The tool's comes from its list of tools.
"""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

from inference.chat import ModelReason
from tests.support.attack import DOORS, META, Target
from tests.support.clients import tools
from tests.support.issuer import Issuer
from tests.support.system import System, running
from zerotrust.decision import Reason
from zerotrust.gate import Gate

EVERYTHING = "task.run reasoning.plan agent.invoke tool.read tool.write inference.run llama.chat"
INTERNALS = re.compile(r"Traceback|File \"|site-packages|\.py\b|Error:|pydantic|sqlalchemy", re.IGNORECASE)


def check(answer: httpx.Response) -> None:
    """Never a fault, and 4xx is the refusal of the design's section 3, or an error of the protocol's."""
    if answer.status_code == 503 and answer.request.url.path.startswith("/receipts/"):
        assert answer.json()["reason"] == Reason.PEER_UNAVAILABLE  # the ledger is not part of this system
        return
    assert answer.status_code < 500, answer.text
    if answer.status_code < 400:
        return
    assert not INTERNALS.search(answer.text), answer.text
    told = answer.json()
    if "jsonrpc" in told:
        told = told["error"].get("data") or {}
        if "trace_id" not in told:
            return  # the SDK's own
    assert told.keys() <= {"error", "reason", "trace_id", "scope", "param", "receipts"}
    assert told["reason"] in {*Reason, *ModelReason}
    assert re.fullmatch("[0-9a-f]{32}", told["trace_id"])


async def schema_of(target: Target, party: str) -> dict[str, Any]:
    """The OpenAPI schema of a party, with a route for MCP made of its tools."""
    gate = target.system.apps[target.system.addresses[party]]
    assert isinstance(gate, Gate)
    schema: dict[str, Any] = gate.app.openapi()  # type: ignore[attr-defined]
    if party == "inference":  # its models are known to its handler, not to its schema
        schema["components"]["schemas"]["Conversation"]["properties"]["model"]["enum"] = ["scripted"]
    if party == "tool/documents":
        calls = []
        for token in (target.token(party), target.writing()):
            async with tools(target.system, token) as client:
                calls += [_call(tool.name, tool.input_schema) for tool in (await client.list_tools()).tools]
        body = {"required": True, "content": {"application/json": {"schema": {"oneOf": calls}}}}
        schema["paths"]["/mcp"] = {"post": {"requestBody": body, "responses": {"200": {"description": "done"}}}}
    return schema


def _call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    params = _object(name={"const": tool}, arguments=arguments, _meta={"const": META})
    return _object(
        jsonrpc={"const": "2.0"}, id={"type": ["integer", "string"]}, method={"const": "tools/call"}, params=params
    )


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def request(system: System, party: str, token: str | None, case: Case[Any]) -> httpx.Request:
    """What schemathesis made up, with a token and what the protocols want to have in headers."""
    made = case.as_transport_kwargs(base_url=system.addresses[party])
    content = made["data"] if isinstance(made.get("data"), bytes) else json.dumps(made.get("json")).encode()
    headers = {name.lower(): str(value).encode(errors="surrogatepass") for name, value in made["headers"].items()}
    headers |= {name.decode(): value for name, value in DOORS[party].headers}
    headers |= {"authorization": f"Bearer {token}".encode()} if token else {}
    if party == "tool/documents" and isinstance(case.body, dict):
        params = case.body.get("params")
        headers["mcp-method"] = str(case.body.get("method")).encode(errors="replace")
        headers["mcp-name"] = str(params.get("name") if isinstance(params, dict) else "").encode(errors="replace")
    return httpx.Request(
        made["method"],
        made["url"],
        headers=[(name.encode(), value) for name, value in headers.items()],
        content=content if "data" in made or "json" in made else None,
    )


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does not fit"])
@pytest.mark.parametrize("party", DOORS)
def test_whatever_fits_the_schema_and_whatever_does_not_is_answered(
    tmp_path: Path, issuer: Issuer, party: str, mode: GenerationMode
) -> None:
    with asyncio.Runner() as runner:
        alive = AsyncExitStack()
        system = runner.run(alive.enter_async_context(running(tmp_path, issuer=issuer)))
        target = Target(system, issuer)
        schema = schemathesis.openapi.from_dict(runner.run(schema_of(target, party)))
        more = {"orchestrator": EVERYTHING, "inference": "inference.run model.read"}.get(party, DOORS[party].scope)
        tokens = [None, target.token(party, scope=more)] + ([target.writing()] if party == "tool/documents" else [])
        statuses = set()
        for found in schema.get_all_operations():
            assert isinstance(found, Ok)
            operation = found.ok()
            if mode is GenerationMode.NEGATIVE and operation.method == "get":
                continue  # there is nothing that could be wrong with it

            @settings(max_examples=15)
            @given(operation.as_strategy(generation_mode=mode))
            def try_it(case: Case[Any]) -> None:
                for token in tokens:
                    answer = runner.run(system.client(party, token).send(request(system, party, token, case)))
                    check(answer)
                    statuses.add((answer.request.method, answer.status_code))

            try_it()
        assert ("POST", 401) in statuses
        assert ("POST", 200 if mode is GenerationMode.POSITIVE or party.startswith("agent/") else 400) in statuses
        runner.run(alive.aclose())
