"""The registry as a witness: it keeps what it signs before it signs, and signs one history of one log."""

import asyncio
from pathlib import Path

import pytest

from authorities.registry.witness import Witness
from tests.support.disk import Disk
from tests.support.tlog import ORIGIN, Keys, Log
from zerotrust.authority.ledger.cosignature import NotCosigned, Request
from zerotrust.authority.ledger.note_key import NoteKeyError
from zerotrust.authority.log.proofs import consistency_proof
from zerotrust.durable import write_file
from zerotrust.tlog.note import ED25519, Signature
from zerotrust.tlog.tree import InvalidLog

AT = 1_795_741_378


def witness(folder: Path) -> Witness:
    return Witness(folder, "agents.example/registry", ORIGIN, clock=lambda: AT)


def asking(log: Log, old: int) -> bytes:
    return str(Request(old, tuple(consistency_proof(old, len(log.entries), log.node)), log.note())).encode()


async def cosigned(one: Witness, log: Log, old: int) -> Signature:
    return await one.cosign(asking(log, old), str(log.keys.public))


async def refused(one: Witness, log: Log, old: int) -> tuple[int, int | None]:
    """The status, and the size that it says it holds."""
    with pytest.raises(NotCosigned) as refusal:
        await cosigned(one, log, old)
    return refusal.value.status, refusal.value.held


def entries(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_what_it_has_signed_survives_a_power_loss(tmp_path: Path) -> None:
    folder, log = tmp_path / "registry", Log(entries(5))
    folder.mkdir()
    await cosigned(witness(folder), log, 0)
    disk = Disk(folder)
    log.grow(b"more")
    with disk.used():
        await cosigned(witness(folder), log, 5)
    disk.after_power_loss(tmp_path / "after")

    assert await refused(witness(tmp_path / "after"), log, 5) == (409, 6)


async def test_of_two_that_come_at_once_one_is_signed(tmp_path: Path) -> None:
    one = witness(tmp_path)
    await cosigned(one, Log(entries(5)), 0)

    both = [cosigned(one, Log([*entries(5), last]), 5) for last in (b"this", b"that")]
    signed, refused = await asyncio.gather(*both, return_exceptions=True)

    assert isinstance(signed, Signature)
    assert isinstance(refused, NotCosigned)
    assert refused.held == 6


@pytest.mark.parametrize(
    ("vkey", "status"),
    [
        (None, 400),
        ("", 400),
        ("agents.example/audit", 400),
        (str(Keys("other.example/audit", ED25519).public), 403),
        (str(Keys(ORIGIN, 4).public), 403),
        (str(Keys(ORIGIN, ED25519, "another").public), 403),
    ],
)
async def test_without_the_key_that_signed_it_no_log_is_known(tmp_path: Path, vkey: str | None, status: int) -> None:
    one = witness(tmp_path)

    for asked, why in ((asking(Log(entries(5)), 0), status), (b"old 0\n", 400)):
        with pytest.raises(NotCosigned) as refusal:
            await one.cosign(asked, vkey)
        assert refusal.value.status == why
    assert await one.policy() is None


async def test_a_note_is_kept_with_the_logs_signature_alone(tmp_path: Path) -> None:
    log = Log(entries(5))
    note = log.note(Keys("someone.example", 4))
    await witness(tmp_path).cosign(str(Request(0, (), note)).encode(), str(log.keys.public))

    assert (tmp_path / "witness.checkpoint").read_text() == f"{log.keys.public}\n{log.note()}"


@pytest.mark.parametrize("name", ["witness.checkpoint", "witness.key"])
async def test_where_its_own_files_are_damaged_or_its_key_is_gone_it_signs_nothing(tmp_path: Path, name: str) -> None:
    log = Log(entries(5))
    await cosigned(witness(tmp_path), log, 0)
    (tmp_path / name).write_bytes(b"damaged\n")
    log.grow(b"more")

    with pytest.raises((OSError, InvalidLog)) as error:
        await cosigned(witness(tmp_path), log, 5)
    assert not isinstance(error.value, NotCosigned)
    if name == "witness.key":
        (tmp_path / name).unlink()
        with pytest.raises(FileNotFoundError):
            await cosigned(witness(tmp_path), log, 5)


async def test_without_its_checkpoint_it_signs_no_other_history(tmp_path: Path) -> None:
    await cosigned(witness(tmp_path), Log(entries(5)), 0)
    (tmp_path / "witness.checkpoint").unlink()
    one = witness(tmp_path)

    with pytest.raises(NoteKeyError, match=r"witness\.key is here without witness\.checkpoint: restore"):
        await cosigned(one, Log([b"another", b"history"]), 0)
    with pytest.raises(NoteKeyError):
        await one.policy()


@pytest.mark.parametrize("made", [{"witness.checkpoint"}, {"witness.checkpoint", "witness.key"}])
async def test_what_stopped_before_its_first_checkpoint_begins_again(
    tmp_path: Path, made: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[str]()

    def stopping(path: Path, content: bytes) -> None:
        if {file.name for file in tmp_path.iterdir()} == made:
            raise OSError("stopped")
        calls.append(path.name)
        write_file(path, content)

    for part in "authorities.registry.witness", "zerotrust.authority.ledger.note_key":
        monkeypatch.setattr(f"{part}.write_file", stopping)
    with pytest.raises(OSError, match="stopped"):
        await cosigned(witness(tmp_path), Log(entries(5)), 0)
    monkeypatch.undo()
    assert set(calls) == {file.name for file in tmp_path.iterdir()} == made
    assert await witness(tmp_path).policy() is None

    assert await cosigned(witness(tmp_path), Log(entries(5)), 0)
