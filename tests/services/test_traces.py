"""The exporter of traces, from a log's files to a receiver of OTLP: each span once, also after a restart of either."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from start.traces.__main__ import Exporter
from start.traces.spans import SCHEMA
from tests.support.tlog import Log
from tests.support.traced import AT, ENDED, KNOWN, asked, golden, line
from zerotrust.audit.event_parts import Trace
from zerotrust.audit.event_types import Data
from zerotrust.authority.ledger.leaf import Heads, heads_leaf

HEADS = heads_leaf(Heads({}, AT))


class Receiver:
    """A receiver of OTLP over HTTP, which notes the spans that it takes."""

    def __init__(self) -> None:
        self.status, self.requests = 200, list[ExportTraceServiceRequest]()
        self.server = HTTPServer(("127.0.0.1", 0), partial(_Taking, self))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    @property
    def spans(self) -> list[Span]:
        parts = [part for request in self.requests for part in request.resource_spans]
        return [span for part in parts for scope in part.scope_spans for span in scope.spans]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


class _Taking(BaseHTTPRequestHandler):
    def __init__(self, receiver: Receiver, *connection: object) -> None:
        self.receiver = receiver
        super().__init__(*connection)  # type: ignore[arg-type] # as the server gives it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.receiver.status == 200:
            self.receiver.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(self.receiver.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    thread = Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


class Following:
    """A log in a folder, and who exports it: a new exporter for each restart."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.log, self.folder, self.to = Log(), folder / "log", OTLPSpanExporter(receiver.address)
        self.position = folder / "position.json"
        self.start()

    def start(self) -> None:
        self.exporter = Exporter(self.folder, self.position, KNOWN, self.to)

    def grow(self, entries: Sequence[bytes]) -> None:
        self.log.grow(*entries)
        for name, content in (self.log.files | {"checkpoint": str(self.log.note()).encode()}).items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)

    def follow(self) -> None:
        while self.exporter.step():
            pass


@pytest.fixture
def following(tmp_path: Path, receiver: Receiver) -> Iterator[Following]:
    found = Following(tmp_path, receiver)
    yield found
    found.to.shutdown()  # type: ignore[no-untyped-call] # as the SDK has it


def record(data: Data, number: int = 2) -> bytes:
    return line(data, trace=Trace(trace_id="1" * 32, span_id=f"{number:016x}"))


def test_a_receiver_gets_each_span_of_a_real_log_once(following: Following, receiver: Receiver) -> None:
    following.grow([*golden(), *[HEADS] * 10])
    following.follow()

    task = [span for span in receiver.spans if span.name == "POST /tasks"]
    assert len(task) == 1
    ids = [span.span_id for span in receiver.spans if span.trace_id == task[0].trace_id]
    assert len(ids) == len(set(ids)) == 37
    assert {scope.schema_url for part in receiver.requests[0].resource_spans for scope in part.scope_spans} == {SCHEMA}
    sent = len(receiver.spans)
    following.start()
    following.follow()
    assert len(receiver.spans) == sent


def test_a_call_that_ends_after_a_restart_has_its_span(following: Following, receiver: Receiver) -> None:
    following.grow([record(asked("POST /tasks")), record(asked("POST /plan"), 3), HEADS])
    following.follow()
    assert receiver.spans == []

    following.start()
    following.grow([record(ENDED(ended="complete"), 3), HEADS])
    following.follow()
    following.start()
    following.grow([record(ENDED(ended="complete")), HEADS])
    following.follow()

    assert receiver.names == ["POST /plan", "POST /tasks"]


def test_while_no_receiver_takes_spans_they_wait_in_the_log(
    following: Following, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited = list[float]()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        receiver.status = 200 if len(waited) == 3 else 400  # which the SDK does not try again by itself

    receiver.status = 400
    monkeypatch.setattr(time, "sleep", wait)
    following.grow([record(asked("POST /tasks")), record(ENDED(ended="complete")), HEADS])
    following.follow()

    assert receiver.names == ["POST /tasks"]
    assert len(waited) == 3
    assert capsys.readouterr().err.count("No receiver takes spans.") == 1


def test_the_position_moves_only_past_what_was_taken(
    following: Following, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(_seconds: float) -> None:
        raise SystemExit

    monkeypatch.setattr(time, "sleep", end)
    receiver.status = 400
    following.grow([record(asked("POST /tasks")), record(ENDED(ended="complete")), HEADS])
    with pytest.raises(SystemExit):
        following.follow()

    receiver.status = 200
    following.start()
    following.follow()
    assert receiver.names == ["POST /tasks"]


@pytest.mark.parametrize("more", [0, 9])
def test_another_log_is_followed_from_its_beginning(following: Following, receiver: Receiver, more: int) -> None:
    following.grow([heads_leaf(Heads({}, AT + 1))] * 5)
    following.follow()
    following.log = Log()
    following.grow([record(asked("POST /tasks")), record(ENDED(ended="complete")), *[HEADS] * more])
    following.follow()

    assert receiver.names == ["POST /tasks"]


def test_a_leaf_that_nobody_can_read_is_said_and_left_out(
    following: Following, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    following.grow([record(asked("POST /tasks")), b'{"of": "alice"}', record(ENDED(ended="complete")), HEADS])
    following.follow()

    assert receiver.names == ["POST /tasks"]
    assert capsys.readouterr().err == "Leaf 1 is not a record of schema 1, and has no span.\n"


def test_a_log_that_is_not_there_yet_is_an_error_that_passes(following: Following, receiver: Receiver) -> None:
    with pytest.raises(OSError, match="checkpoint"):
        following.follow()

    following.grow([record(asked("POST /tasks")), record(ENDED(ended="complete")), HEADS])
    following.follow()
    assert receiver.names == ["POST /tasks"]
