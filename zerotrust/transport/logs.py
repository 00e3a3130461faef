"""The log of a process: what is said, never what is sent.  What was decided is in the journal (`audit/journal.py`)."""

import contextlib
import json
import logging
import sys
import traceback

from zerotrust.context import current_trace

MOST_OF_A_TEXT = 4000
"""Characters of what is said that go into the log, and of a stack trace: the caller may have put them there."""


OURS = {"zerotrust", "orchestrator", "agents", "tools", "authorities", "inference"}
"""Whose exceptions quote nobody.  What a library says of an exception, it may have from a caller."""
MOST_CAUSES = 10
"""Exceptions of one chain that go into the log: it may lead back to itself."""


def _without_text(error: BaseException | None) -> str:
    """Which exceptions these are, the last one first, and the places that each came through; nothing that they say."""
    told: list[str] = []
    while error and len(told) < MOST_CAUSES:
        frames = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        places = [f"  {code.co_filename}:{line} in {code.co_name}" for code, line in frames]
        told.append("\n".join([*places, type(error).__qualname__]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(told))


class _JsonLines(logging.Formatter):
    """One JSON object a line: what was said, by whom, for which request; never a header, never a body."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()[:MOST_OF_A_TEXT]
        line = {"at": record.created, "level": record.levelname, "logger": record.name, "text": text}
        with contextlib.suppress(LookupError):  # where nothing was asked, there is none
            line["trace_id"] = current_trace()
        if record.exc_info:
            ours = record.name.partition(".")[0] in OURS
            trace = self.formatException(record.exc_info) if ours else _without_text(record.exc_info[1])
            line["trace"] = trace[-MOST_OF_A_TEXT:]
        return json.dumps(line)  # ASCII: half a surrogate pair, a control character, a word from right to left


def log_json_lines() -> None:
    """Send this process's log to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # They log every call with its address, and whatever strangers send that is no HTTP; the journal says it better.
    for chatty, level in [("httpx", "WARNING"), ("httpx2", "WARNING"), ("uvicorn.error", "ERROR")]:
        logging.getLogger(chatty).setLevel(level)
