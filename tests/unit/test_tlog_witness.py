"""What a witness signs, and each answer of c2sp.org/tlog-witness where it does not."""

import pytest

from tests.support.tlog import ORIGIN, Keys, Log
from zerotrust.authority.ledger.cosignature import MAX_REQUEST, NotCosigned, Request, check_request, parse_request
from zerotrust.authority.log.proofs import consistency_proof
from zerotrust.tlog.checkpoint import Checkpoint, sign_checkpoint
from zerotrust.tlog.note import ED25519, Note

LOG = Log([b"entry %d" % number for number in range(20)])
KNOWN = {ORIGIN: LOG.keys.public}


def earlier(size: int) -> Checkpoint:
    """That log when it had so many entries."""
    return Log(LOG.entries[:size], LOG.keys).checkpoint


def asked(old: int, log: Log = LOG) -> Request:
    return Request(old, tuple(consistency_proof(old, len(log.entries), log.node)), log.note())


def refused(one: Request, held: Checkpoint | None = None) -> NotCosigned:
    with pytest.raises(NotCosigned) as caught:
        check_request(one, KNOWN, {ORIGIN: held} if held else {})
    return caught.value


FORK = Log([b"fork", *LOG.entries[1:]], LOG.keys)
SHORT = Log(LOG.entries[:5], LOG.keys)
STRANGER = Log(LOG.entries, Keys("another.example/log", ED25519))


@pytest.mark.parametrize(
    ("one", "held", "status"),
    [
        (asked(5, FORK), earlier(5), 422),  # rewritten, with a proof that fits the new tree
        (asked(20, FORK), earlier(20), 422),  # forked, of the same size
        (Request(5, asked(5).proof[1:], LOG.note()), earlier(5), 422),
        (Request(0, asked(5).proof, LOG.note()), None, 422),
        (Request(20, (bytes(32),), LOG.note()), earlier(20), 422),
        (asked(5), earlier(7), 409),
        (asked(5), None, 409),
        (asked(0, SHORT), earlier(20), 409),  # rolled back
        (Request(20, (), SHORT.note()), earlier(20), 400),
        (asked(0, STRANGER), None, 404),
        (asked(0, Log(LOG.entries, Keys(ORIGIN, ED25519, "another"))), None, 403),  # in its name, by another key
        (Request(0, (), Note("nonsense\n", ())), None, 400),
    ],
)
def test_what_is_not_cosigned(one: Request, held: Checkpoint | None, status: int) -> None:
    found = refused(one, held)

    assert found.status == status
    assert found.held == ((held.size if held else 0) if status == 409 else None)


def test_an_empty_log_has_the_root_of_no_other() -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), LOG.keys.public, LOG.keys.private)

    assert refused(Request(0, (), note)).status == 422


GOOD = str(asked(5))


def test_a_refusal_says_why_and_a_request_has_a_bound() -> None:
    assert str(refused(asked(5), earlier(7))) == "this witness signed the log last with 7 entries"
    with pytest.raises(NotCosigned, match=f"more than {MAX_REQUEST} bytes"):
        parse_request(b"old 5\n" + b"A" * MAX_REQUEST)
    with pytest.raises(NotCosigned, match="not a request: the old size"):
        parse_request(b"old 5\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("old 5\n", ""),
        ("old 5\n", "old 05\n"),
        ("old 5\n", "old five\n"),
        ("old 5\n", "old 5\nAAAA\n"),
        ("old 5\n", "old 5\n*\n"),
        ("old 5\n", "old 5\n" + 64 * f"{'A' * 43}=\n"),
        ("\n\n", "\n"),
        ("— ", "- "),
        ("— ", "— " + "x" * MAX_REQUEST),
    ],
)
def test_what_is_no_request(old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(NotCosigned) as caught:
        parse_request(GOOD.replace(old, new).encode())
    assert caught.value.status == 400
