"""What callers choose and others read: in the journal and in the log it is short, plain, and one line."""

import json
import logging
import sys
from typing import Any

import pytest

from tests.support.attack import Target, message, tool_call
from zerotrust.transport.logs import MOST_CAUSES, MOST_OF_A_TEXT, _JsonLines, log_json_lines

NASTY = "\r\nEVIL\x1b[31m\0\u202etxt\u200b\ud800\x9b" + "x" * 1_000_000


def check_plain(raw: bytes) -> None:
    """Nothing in it moves a cursor, turns text round or begins a line, and no line is long."""
    assert raw.decode("ascii").replace("\n", "").isprintable()
    for line in raw.splitlines():
        assert len(line) < 2 * MOST_OF_A_TEXT + 1000
        json.loads(line)
    assert not any(line.startswith(b"EVIL") for line in raw.splitlines())


def _kept(monkeypatch: pytest.MonkeyPatch, *loggers: str) -> list[dict[str, str]]:
    """The lines that these loggers write from here on."""
    lines: list[dict[str, str]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(_JsonLines().format(record)))

    for name in loggers:
        monkeypatch.setattr(logging.getLogger(name), "handlers", [Kept()])
    return lines


def test_what_a_caller_asks_for_is_plain_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpx2", "uvicorn.error", "opentelemetry")}
    try:
        log_json_lines()
        logging.getLogger("tests").info("read %s", NASTY)
        for chatty in ("httpx", "httpx2"):
            logging.getLogger(chatty).info("every call, with its address")
        logging.getLogger("uvicorn.error").warning("whatever strangers send")
        logging.getLogger("opentelemetry.trace").warning("a malformed header")
        try:
            raise ValueError(NASTY)
        except ValueError:
            logging.getLogger("tests").exception("failed: %s", NASTY)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        for name, was in levels.items():
            logging.getLogger(name).setLevel(was)

    said = capfd.readouterr().err
    check_plain(said.encode())
    first, second = map(json.loads, said.splitlines())
    assert first["event"].startswith("read \r\nEVIL")
    assert "trace_id" not in second
    assert second["trace"].endswith("ValueError")
    assert "in test_what_a_caller_asks_for_is_plain_in_the_log" in second["trace"]


@pytest.mark.parametrize(("logger", "quoted"), [("zerotrust.gate", True), ("a2a.server", False), ("zerotrusty", False)])
def test_what_a_librarys_exception_says_is_not_logged(logger: str, quoted: bool) -> None:
    """Nor what its cause says; which they are, and where they come from, is."""
    try:
        try:
            raise KeyError("SECRET")
        except KeyError as error:
            raise ValueError("SECRET") from error
    except ValueError:
        record = logging.LogRecord(logger, logging.ERROR, "", 1, "failed", (), sys.exc_info())
    trace = json.loads(_JsonLines().format(record))["trace"]

    assert ("SECRET" in trace) == quoted
    assert all(word in trace for word in ("KeyError", "ValueError", __file__))


def test_a_chain_of_exceptions_that_leads_back_to_itself_is_logged_all_the_same() -> None:
    first, second = ValueError("SECRET"), KeyError("SECRET")
    first.__context__, second.__context__ = second, first
    record = logging.LogRecord("a2a", logging.ERROR, "", 1, "failed", (), (ValueError, first, None))

    assert len(json.loads(_JsonLines().format(record))["trace"].splitlines()) == MOST_CAUSES


RPC = message("Hi.")


@pytest.mark.parametrize(
    "body",
    [
        RPC | {"params": "SECRET"},
        RPC | {"params": ["SECRET"]},
        RPC | {"method": "rpc.SECRET"},
        RPC | {"method": ["SECRET"]},
        RPC | {"method": ""},
        RPC | {"jsonrpc": "SECRET"},
        RPC | {"id": ["SECRET"]},
        RPC | {"SECRET": 1},
    ],
)
async def test_a_message_that_is_no_json_rpc_leaves_no_stack_trace(
    target: Target, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    lines = _kept(monkeypatch, "a2a")

    tried = await target.send("agent/reader", target.token("agent/reader"), body=body)

    assert tried.answer.json()["error"]["code"] in (-32600, -32602)
    assert [line for line in lines if "trace" in line or "SECRET" in str(line)] == []


async def test_whatever_is_logged_for_a_request_names_its_trace(
    target: Target, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines = _kept(monkeypatch, "a2a", "mcp")
    caplog.set_level(logging.INFO, logger="mcp")

    agent = await target.send("agent/reader", target.token("agent/reader"), body={"id": []})
    tool = await target.send("tool/documents", target.token("tool/documents"), body=tool_call("read", id="nothing"))

    traces = {line["logger"].partition(".")[0]: line.get("trace_id") for line in lines}
    assert traces == {"a2a": agent.recorded[0]["trace_id"], "mcp": tool.recorded[0]["trace_id"]}
