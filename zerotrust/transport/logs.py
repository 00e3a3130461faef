"""Writes the log of a process, without headers or bodies.  Decisions are in the journal (`audit/journal.py`)."""

import contextlib
import datetime as dt
import json
import logging
import sys
import traceback
from collections.abc import Mapping

from zerotrust.context import current_trace

MOST_OF_A_TEXT = 4000
"""Characters of a message, and of a stack trace, that are logged: a caller may have caused them."""
MOST_CAUSES = 10
"""Exceptions of one chain that are logged: the chain may have a cycle."""


def line_of(event: str, fields: Mapping[str, object], *, logger: str, at: float, level: str = "INFO") -> str:
    """Return one line of a log, as all our services write it; it has `at`, in seconds since 1970, in ISO 8601."""
    told = {"time": dt.datetime.fromtimestamp(at, dt.UTC).isoformat(), "level": level, "logger": logger, "event": event}
    return json.dumps(
        {**told, **fields}
    )  # ASCII only: escapes lone surrogates, control characters and right-to-left text


def _without_text(error: BaseException | None) -> str:
    """Return the types and stack frames of a chain of exceptions, the cause first; none of their texts."""
    parts: list[str] = []
    while error and len(parts) < MOST_CAUSES:
        frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        places = [f"  {code.co_filename}:{line} in {code.co_name}" for code, line in frames]
        parts.append("\n".join([*places, type(error).__qualname__]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(parts))


class _JsonLines(logging.Formatter):
    """One JSON object a line: level, logger, message and trace id; never a header, never a body."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {}
        with contextlib.suppress(LookupError):  # outside a request there is none
            line["trace_id"] = current_trace()
        if record.exc_info:
            ours = record.name.startswith("zerotrust.")  # the text of other exceptions may come from a caller
            trace = self.formatException(record.exc_info) if ours else _without_text(record.exc_info[1])
            line["trace"] = trace[-MOST_OF_A_TEXT:]
        event = record.getMessage()[:MOST_OF_A_TEXT]
        return line_of(event, line, logger=record.name, at=record.created, level=record.levelname)


def log_json_lines() -> None:
    """Send this process's log to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # These log every call with its URL, and every malformed request or header; the journal has the calls, bounded.
    noisy = [("httpx", "WARNING"), ("httpx2", "WARNING"), ("uvicorn.error", "ERROR"), ("opentelemetry", "ERROR")]
    for chatty, level in noisy:
        logging.getLogger(chatty).setLevel(level)
