"""Sends spans of the audit log's records to a receiver of OTLP over HTTP: `start/run start.traces LOG POSITION`.

LOG is the folder of the log, which is only read.  POSITION is a file with its progress.  The receiver is that of
`OTEL_EXPORTER_OTLP_ENDPOINT`, by default http://localhost:4318.  The log is the queue: while no receiver takes spans,
one batch is held.  A batch is sent again, with the same ids, if this ends before its position is written.
"""

import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

import orjson
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from start.traces.spans import Spans, Tools
from zerotrust.audit.record import hash_of
from zerotrust.authority.files.lock import LOCK, load_lock
from zerotrust.authority.log.tiles import WIDTH, decode_bundle, read_part, tile_path
from zerotrust.durable import write_file
from zerotrust.tlog.checkpoint import checkpoint_of
from zerotrust.tlog.note import parse_note

EVERY = 1.0
"""Seconds between two looks at the log, and between two attempts to send a batch."""
START: dict[str, Any] = {"next": 0, "last": "", "open": []}
"""A position: the next leaf, the hash of the one before it, and the leaves about calls whose outcome is awaited."""


class Exporter:
    """Follows one log, from the position in a file on."""

    def __init__(self, log: Path, position: Path, tools: Tools, to: SpanExporter) -> None:
        self._log, self._position, self._tools, self._to, self._said = log, position, tools, to, ""
        self._at: dict[str, Any] = orjson.loads(position.read_bytes()) if position.exists() else START
        self._spans: Spans | None = None

    def step(self) -> bool:
        """Send the spans that at most 256 further leaves complete, and return whether there were such leaves.

        Raises `OSError` and `ValueError` if the log cannot be read, or the position not be written.
        """
        size, at = checkpoint_of(parse_note((self._log / "checkpoint").read_bytes())).size, self._at["next"]
        if at and (at > size or hash_of(self._read(at - 1, size)[0]) != self._at["last"]):
            self._at, self._spans, at = START, None, 0  # it is another log
        if self._spans is None:
            known = Spans(self._tools)
            for leaf in self._at["open"]:
                list(known.take(leaf, self._read(leaf, size)[0]))
            self._spans = known
        if at == size:
            return False
        entries, spans = self._read(at, size), list[ReadableSpan]()
        for leaf, entry in enumerate(entries, at):
            try:
                spans += self._spans.take(leaf, entry)
            except ValueError:
                self.say(f"Leaf {leaf} is not a record of schema 1, and has no span.")
        while spans and self._to.export(spans) is not SpanExportResult.SUCCESS:
            self.say("No receiver takes spans.  The log keeps the records, and their spans are sent once one does.")
            time.sleep(EVERY)
        self._at = {"next": at + len(entries), "last": hash_of(entries[-1]), "open": self._spans.open_leaves}
        write_file(self._position, orjson.dumps(self._at))
        return True

    def say(self, message: str) -> None:
        """Print a message, unless it is the same as the last."""
        if message != self._said:
            print(message, file=sys.stderr, flush=True)
        self._said = message

    def _read(self, first: int, size: int) -> list[bytes]:
        """Return the leaves from this one to the end of its bundle, in a log of this size."""
        index, skipped = divmod(first, WIDTH)
        width = min(WIDTH, size - index * WIDTH)
        raw = read_part(lambda file: (self._log / file).read_bytes(), tile_path("entries", index, width))
        return decode_bundle(raw, width)[skipped:]


def main(log: str, position: str) -> None:
    """Export until a signal ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # `Exporter` says it, and once
    tools = {name: party.tools.keys() for name, party in load_lock(Path(__file__).parents[2] / LOCK).parties.items()}
    exporter = Exporter(Path(log), Path(position), tools, OTLPSpanExporter())
    while True:
        try:
            if exporter.step():
                continue
        except (OSError, ValueError) as error:
            exporter.say(f"The log cannot be followed now: {error}")
        time.sleep(EVERY)


if __name__ == "__main__":
    main(*sys.argv[1:])
