"""The ledger's log: what is published stays, it has one history, and a start reads its last files alone."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from authorities.audit.files import Files
from authorities.audit.log import MAX_BATCH, Growth, Log, LogError, OtherHistory
from tests.support.ledger import SERVICE, Registry, grow, lines, opened, published
from tests.support.tlog import ORIGIN
from zerotrust.audit.note_key import kept_key
from zerotrust.audit.record import GENESIS, Link
from zerotrust.tlog.checkpoint import Checkpoint, signed
from zerotrust.tlog.note import ED25519, Signature
from zerotrust.tlog.tiles import WIDTH, Edge, grown


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("registry"))


async def test_lines_are_published_with_the_heads_after_them_and_a_restart_goes_on(
    tmp_path: Path, registry: Registry
) -> None:
    added = list[bytes]()
    for count in (1, 2, 300, 5):
        log = await opened(tmp_path, registry)
        added += await grow(log, count)
        added += await grow(log, count, "spiffe://agents.example/inference")

        assert await published(log, registry) == added
        await log.close()
    assert log.size == len(added) + 8
    assert log.heads[SERVICE].records == 308


async def test_an_empty_log_has_no_checkpoint_but_the_registry_knows_of_it(tmp_path: Path, registry: Registry) -> None:
    log = await opened(tmp_path, registry)

    assert (log.size, log.heads, log.note) == (0, {}, None)
    assert await registry.witness.policy()
    await log.close()


@pytest.mark.parametrize("size", [1, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH])
async def test_at_any_width_of_the_last_tile_a_restart_finds_the_heads(
    tmp_path: Path, registry: Registry, size: int
) -> None:
    log = await opened(tmp_path, registry)
    added = await grow(log, size - 1 or 1)
    await log.close()

    log = await opened(tmp_path, registry)

    assert log.heads == lines({}, len(added))[1]
    assert await published(log, registry) == added
    await log.close()


async def test_a_start_reads_as_few_files_of_a_long_log_as_of_a_short_one(tmp_path: Path, registry: Registry) -> None:
    log = await opened(tmp_path, registry)
    for _ in range(3):
        await grow(log, 1000)
    await log.close()
    for bundle in sorted((tmp_path / "log/tile/entries").glob("0*"))[:-1]:
        bundle.unlink() if bundle.is_file() else None
    for tile in sorted((tmp_path / "log/tile/0").glob("0*"))[:-1]:
        tile.unlink() if tile.is_file() else None

    log = await opened(tmp_path, registry)

    assert log.heads[SERVICE].records == 3000
    await log.close()


async def test_partial_tiles_go_when_the_full_one_is_published_and_who_asks_for_one_gets_its_part(
    tmp_path: Path, registry: Registry
) -> None:
    log = await opened(tmp_path, registry)
    await grow(log, 9)
    before = {name: log.read(f"tile/{name}.p/10") for name in ("0/000", "entries/000")}
    assert (tmp_path / "log/tile/0/000.p").is_dir()

    await grow(log, WIDTH)

    assert not (tmp_path / "log/tile/0/000.p").exists()
    assert not (tmp_path / "log/tile/entries/000.p").exists()
    assert {name: log.read(f"tile/{name}.p/10") for name in before} == before
    with pytest.raises(FileNotFoundError):
        log.read("tile/0/007.p/3")
    with pytest.raises(FileNotFoundError):
        log.read("tile/0/007")
    await log.close()


async def test_two_processes_do_not_write_one_log(tmp_path: Path, registry: Registry) -> None:
    log = await opened(tmp_path, registry)

    with pytest.raises(LogError, match="another process"):
        await Log.open(tmp_path, ORIGIN, registry.cosigning())

    await log.close()
    await (await opened(tmp_path, registry)).close()


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_without_the_registry_nothing_is_published_and_then_all_that_was_begun(
    tmp_path: Path, registry: Registry, fault: str
) -> None:
    log = await opened(tmp_path, registry)
    first = await grow(log)
    registry.fails = [fault, fault]
    second, heads = lines(log.heads, 2)
    with pytest.raises(LogError, match="registry"):
        await log.add(second, heads)
    with pytest.raises(LogError, match="registry"):
        await log.finish()

    assert log.heads[SERVICE].records == 1
    with pytest.raises(LogError, match="has to be finished first"):
        await log.add(second, heads)
    await log.finish()

    assert log.heads == heads
    assert await published(log, registry) == first + second
    await log.close()


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_after_a_restart_too(tmp_path: Path, registry: Registry, fault: str) -> None:
    log = await opened(tmp_path, registry)
    registry.fails = [fault]
    some, heads = lines(log.heads, 2)
    with pytest.raises(LogError):
        await log.add(some, heads)
    await log.close()

    log = await opened(tmp_path, registry)

    assert await published(log, registry) == some
    await log.close()


async def test_an_emptied_folder_stops_too(tmp_path: Path, registry: Registry) -> None:
    log = await opened(tmp_path / "now", registry)
    await grow(log)
    await log.close()
    (tmp_path / "emptied").mkdir()
    shutil.copy(tmp_path / "now" / "log.key", tmp_path / "emptied")

    with pytest.raises(OtherHistory):
        await opened(tmp_path / "emptied", registry)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("log/tile/0/000.p/6", "other entries than its tile"),
        ("log/tile/entries/000.p/6", r"\S"),
        ("log/checkpoint", r"\S"),
        ("pending", r"\S"),
    ],
)
async def test_a_changed_file_of_the_edge_stops_a_start(
    tmp_path: Path, registry: Registry, name: str, error: str
) -> None:
    log = await opened(tmp_path, registry)
    await grow(log, 5)
    await log.close()
    content = bytearray((tmp_path / name).read_bytes())
    content[40] ^= 1
    (tmp_path / name).write_bytes(content)

    with pytest.raises(LogError, match=error):
        await opened(tmp_path, registry)


async def test_tiles_of_another_log_stop_a_start(tmp_path: Path, registry: Registry) -> None:
    for name, service in (("one", SERVICE), ("two", "spiffe://agents.example/inference")):
        log = await opened(tmp_path / name, Registry(tmp_path / f"registry of {name}"))
        await grow(log, 5, service)
        await log.close()
    shutil.rmtree(tmp_path / "one/log/tile")
    shutil.copytree(tmp_path / "two/log/tile", tmp_path / "one/log/tile")

    with pytest.raises(LogError, match="not those of the checkpoint of 6 entries"):
        await opened(tmp_path / "one", registry)


async def test_a_log_that_does_not_end_with_heads_is_none_of_the_ledger(tmp_path: Path, registry: Registry) -> None:
    await (await opened(tmp_path, registry)).close()
    key, files = kept_key(tmp_path / "log.key", ORIGIN, ED25519), Files(tmp_path)
    edge, content = grown(Edge(), lines({}, 3)[0])
    files.add(content)
    files.publish(signed(Checkpoint(ORIGIN, edge.size, edge.root), key.public, key.private))
    files.close()

    with pytest.raises(LogError, match="its last entry is not the heads"):
        await opened(tmp_path, registry)


async def test_a_log_without_its_key_does_not_begin_with_another(tmp_path: Path, registry: Registry) -> None:
    log = await opened(tmp_path, registry)
    await grow(log)
    await log.close()
    (tmp_path / "log.key").unlink()

    with pytest.raises(LogError, match=r"log\.key"):
        await opened(tmp_path, registry)


async def test_an_older_pending_checkpoint_is_not_gone_back_to(tmp_path: Path, registry: Registry) -> None:
    log = await opened(tmp_path, registry)
    await grow(log)
    older = (tmp_path / "pending").read_bytes()
    await grow(log)
    await log.close()
    (tmp_path / "pending").write_bytes(older)

    with pytest.raises(LogError, match="not later than the published one"):
        await opened(tmp_path, registry)


async def test_cosignatures_of_others_are_left_out_where_no_reader_took_all_of_them(
    tmp_path: Path, registry: Registry
) -> None:
    cosign, others = registry.cosigning(), list[Signature]()

    async def cosigning(growth: Growth) -> Sequence[Signature]:
        return [*await cosign(growth), *others]

    log = await Log.open(tmp_path, ORIGIN, cosigning)
    await log.finish()
    others[:] = [Signature("w", b"1234", b"x" * 72)] * 600
    await grow(log)

    assert log.note
    assert len(log.note.signatures) == 2
    await log.close()
    await (await opened(tmp_path, registry)).close()


async def test_a_checkpoint_that_no_reader_takes_is_never_written(tmp_path: Path, registry: Registry) -> None:
    log = await opened(tmp_path, registry)
    first = await grow(log)
    cosign, log._cosign = log._cosign, too_long

    with pytest.raises(LogError, match="a note of more than 65536 bytes"):
        await grow(log)
    log._cosign = cosign
    await log.finish()

    assert (await published(log, registry))[: len(first)] == first
    assert log.size == 4
    await log.close()


async def too_long(_growth: Growth) -> Sequence[Signature]:
    """What a registry answers that has broken every rule."""
    return [Signature("w", b"1234", b"x" * 65_536)]


async def test_a_batch_has_a_bound_and_an_entry_that_no_log_takes_changes_nothing(
    tmp_path: Path, registry: Registry
) -> None:
    log = await opened(tmp_path, registry)
    first = await grow(log)

    for some in ([], [b"x"] * (MAX_BATCH + 1)):
        with pytest.raises(LogError, match=f"1 to {MAX_BATCH} lines"):
            await log.add(some, {})
    with pytest.raises(LogError, match="more than 65535 bytes"):
        await log.add([b"x" * 65_536], {SERVICE: Link(2, GENESIS.head)})
    await log.finish()

    assert await published(log, registry) == first
    await log.close()
