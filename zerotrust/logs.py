"""The log of a process: what is said, never what is sent.  What was decided is in the journal (`audit.py`)."""

import contextlib
import json
import logging
import sys

from zerotrust.current import current_trace

MOST_OF_A_TEXT = 4000
"""Characters of what is said that go into the log, and of a stack trace: the caller may have put them there."""


class _JsonLines(logging.Formatter):
    """One JSON object a line: what was said, by whom, for which request; never a header, never a body."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()[:MOST_OF_A_TEXT]
        line = {"at": record.created, "level": record.levelname, "logger": record.name, "text": text}
        with contextlib.suppress(LookupError):  # where nothing was asked, there is none
            line["trace_id"] = current_trace()
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)[-MOST_OF_A_TEXT:]
        return json.dumps(line)  # ASCII: half a surrogate pair, a control character, a word from right to left


def log_json_lines() -> None:
    """Send this process's log to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # They log every call with its address, and whatever strangers send that is no HTTP; the journal says it better.
    for chatty, level in [("httpx", "WARNING"), ("httpx2", "WARNING"), ("uvicorn.error", "ERROR")]:
        logging.getLogger(chatty).setLevel(level)
