"""A connection may bring few TLS records without data, and no more than a few for little data."""

import ssl
from pathlib import Path

import pytest

from tests.support.key_updates import Stranger
from zerotrust.spiffe.records import FEW_RECORDS


@pytest.fixture
def stranger(tmp_path: Path) -> Stranger:
    return Stranger(tmp_path)


@pytest.mark.parametrize("between", [b"", b"x" * 16_000], ids=["alone", "with data between"])
def test_many_are_not_whatever_comes_between(stranger: Stranger, between: bytes) -> None:
    for _ in range(FEW_RECORDS):
        stranger.to_service.write(stranger.key_updates(1) + (stranger.data(between) if between else b""))
    stranger.to_service.write(rest := stranger.key_updates(1000))

    with pytest.raises(ssl.SSLError, match="too many records"):
        stranger.read()
    assert stranger.to_service.pending >= len(rest)  # OpenSSL has seen none of these


def test_data_in_tiny_records_is_ended(stranger: Stranger) -> None:
    for _ in range(2 * FEW_RECORDS):
        stranger.to_service.write(stranger.data(b"x"))

    with pytest.raises(ssl.SSLError, match="too many records for the data that they bring"):
        stranger.read()
    assert stranger.to_service.pending >= FEW_RECORDS * len(stranger.data(b"x"))


def test_the_end_of_what_comes_is_told(stranger: Stranger) -> None:
    stranger.to_service.write_eof()

    with pytest.raises(ssl.SSLEOFError):
        stranger.service.read(100)


def test_a_record_waits_where_an_event_loop_looks_for_it(stranger: Stranger) -> None:
    stranger.to_service.write(stranger.data(b"ab") + (second := stranger.data(b"c")))

    assert (stranger.service.read(1), stranger.service.pending()) == (b"a", 1)
    assert (stranger.service.read(1), stranger.service.pending()) == (b"b", 0)
    assert stranger.to_service.pending == len(second)
    assert stranger.read() == b"c"
