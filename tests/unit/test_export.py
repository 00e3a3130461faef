"""The format of an export: what is none of it is refused, and what a log cannot have is not written."""

import orjson
import pytest

from evidence import export
from evidence.export import Header, InvalidExport, export_lines, hashes_line, hashes_of, header_of
from tests.support.audit_log import small
from tests.support.tlog import Log
from zerotrust.audit.record import MAX_LINE
from zerotrust.tlog.note import Note, Signature
from zerotrust.tlog.tree import InvalidLog

LEDGER = small()
NOTE = LEDGER.log.note(*LEDGER.witnesses)
CONTENT = {"checkpoint": str(NOTE), "export": 1}


def line(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


@pytest.mark.parametrize(
    "raw",
    [
        b"[]\n",
        b"1\n",
        line({"export": 1}),
        line({"checkpoint": 1, "export": 1}),
        line({"checkpoint": "x", "export": 1}),
        line(CONTENT | {"more": 1}),
        line(CONTENT).replace(b":1}", b": 1}"),
        line(CONTENT).removesuffix(b"\n"),
    ],
    ids=range(8),
)
def test_what_is_no_header_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidLog):
        header_of(raw)


def test_an_empty_file_is_said_to_be_empty() -> None:
    with pytest.raises(InvalidExport, match="the file is empty"):
        header_of(b"")


def test_another_version_is_named() -> None:
    with pytest.raises(InvalidExport, match="of version 2: this program reads version 1"):
        header_of(line(CONTENT | {"export": 2}))


def test_a_header_is_no_longer_than_a_line_may_be() -> None:
    many = tuple(Signature("name", b"1234", bytes(600)) for _ in range(90))
    with pytest.raises(InvalidExport, match=f"more than {MAX_LINE} bytes"):
        _ = Header(Note(NOTE.text, many)).line


@pytest.mark.parametrize("raw", [b"{}\n", b'{"hashes":"AAA"}\n', hashes_line(b"x" * 31), hashes_line(b"x" * 32)[:-1]])
def test_what_are_no_hashes_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidLog):
        hashes_of(raw)


def test_a_log_that_is_too_long_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(LEDGER.log.entries)
    monkeypatch.setattr(export, "MOST_LEAVES", size - 1)
    with pytest.raises(InvalidExport, match=f"has at most {size - 1}"):
        list(export_lines(NOTE, LEDGER.log.files.__getitem__))


def test_files_that_cannot_be_those_of_a_log_are_not_exported() -> None:
    log = Log([b"one", b"t\nwo"])
    with pytest.raises(InvalidExport, match="line break"):
        list(export_lines(log.note(), log.files.__getitem__))
    short = log.files | {"tile/0/000.p/2": b"x"}
    with pytest.raises(InvalidLog, match="has not 2 hashes"):
        list(export_lines(log.note(), short.__getitem__))
