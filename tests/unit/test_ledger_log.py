"""The ledger's log: what is published stays, it has one history, and a start reads its last files alone."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from authorities.audit.files import Files
from authorities.audit.log import MAX_BATCH, Growth, Log, LogError
from tests.support.ledger import SERVICE, Logs, Registry, grow, lines, published
from tests.support.tlog import ORIGIN
from zerotrust.audit.record import GENESIS, Link
from zerotrust.authority.ledger.note_key import load_key
from zerotrust.authority.log.tiles import WIDTH, Edge, append_entries
from zerotrust.tlog.checkpoint import Checkpoint, sign_checkpoint
from zerotrust.tlog.note import ED25519, Signature


@pytest.fixture
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


Start = Callable[[], Awaitable[Log]]


@pytest.fixture
def start(logs: Logs, registry: Registry) -> Start:
    """Starts the ledger, or starts it again."""
    return lambda: logs.open(registry.cosigning())


@pytest.mark.parametrize("size", [1, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH])
async def test_at_any_width_of_the_last_tile_a_restart_finds_the_heads(
    start: Start, registry: Registry, size: int
) -> None:
    added = await grow(await start(), size - 1 or 1)
    log = await start()

    assert log.heads == lines({}, len(added))[1]
    assert await published(log, registry) == added


async def test_a_start_reads_as_few_files_of_a_long_log_as_of_a_short_one(start: Start, folder: Path) -> None:
    log = await start()
    for _ in range(3):
        await grow(log, 1000)
    for tiles in "log/tile/entries", "log/tile/0":
        for tile in sorted((folder / tiles).glob("0*"))[:-1]:
            tile.unlink() if tile.is_file() else None

    assert (await start()).heads[SERVICE].records == 3000


async def test_partial_tiles_go_when_the_full_one_is_published_and_who_asks_for_one_gets_its_part(
    start: Start, folder: Path
) -> None:
    log = await start()
    await grow(log, 9)
    before = {name: log.read(f"tile/{name}.p/10") for name in ("0/000", "entries/000")}
    assert (folder / "log/tile/0/000.p").is_dir()

    await grow(log, WIDTH)

    assert not (folder / "log/tile/0/000.p").exists()
    assert not (folder / "log/tile/entries/000.p").exists()
    assert {name: log.read(f"tile/{name}.p/10") for name in before} == before
    for missing in "tile/0/007.p/3", "tile/0/007":
        with pytest.raises(FileNotFoundError):
            log.read(missing)


async def test_two_processes_do_not_write_one_log(start: Start, registry: Registry, folder: Path) -> None:
    await start()

    with pytest.raises(LogError, match="another process"):
        await Log.open(folder, ORIGIN, registry.cosigning())
    await start()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("fault", ["before", "after"])
async def test_without_the_registry_nothing_is_published_and_then_all_that_was_begun(
    start: Start, registry: Registry, fault: str, *, restarted: bool
) -> None:
    log = await start()
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
    if restarted:
        log = await start()
    else:
        await log.finish()

    assert log.heads == heads
    assert await published(log, registry) == first + second


def one_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("log/tile/0/000.p/6", one_bit, "other entries than its tile"),
        ("log/tile/entries/000.p/6", one_bit, r"\S"),
        ("log/checkpoint", one_bit, r"\S"),
        ("pending", one_bit, r"\S"),
        ("log.key", Path.unlink, r"log\.key"),
    ],
)
async def test_a_changed_file_of_the_edge_or_another_key_stops_a_start(
    start: Start, logs: Logs, folder: Path, name: str, change: Callable[[Path], None], error: str
) -> None:
    await grow(await start(), 5)
    await logs.close()
    change(folder / name)

    with pytest.raises(LogError, match=error):
        await start()


async def test_a_log_that_does_not_end_with_heads_is_none_of_the_ledger(start: Start, logs: Logs, folder: Path) -> None:
    await start()
    await logs.close()
    key, files = load_key(folder / "log.key", ORIGIN, ED25519), Files(folder)
    edge, content = append_entries(Edge(), lines({}, 3)[0])
    files.add(content)
    files.publish(sign_checkpoint(Checkpoint(ORIGIN, edge.size, edge.root), key.public, key.private))
    files.close()

    with pytest.raises(LogError, match="its last entry is not the heads"):
        await start()


async def test_an_older_pending_checkpoint_is_not_gone_back_to(start: Start, logs: Logs, folder: Path) -> None:
    log = await start()
    await grow(log)
    older = (folder / "pending").read_bytes()
    await grow(log)
    await logs.close()
    (folder / "pending").write_bytes(older)

    with pytest.raises(LogError, match="not later than the published one"):
        await start()


async def test_a_checkpoint_that_no_reader_takes_is_never_written(start: Start, registry: Registry) -> None:
    log = await start()
    first = await grow(log)
    cosign, log._cosign = log._cosign, too_long

    with pytest.raises(LogError, match="a note of more than 65536 bytes"):
        await grow(log)
    log._cosign = cosign
    await log.finish()

    assert (await published(log, registry))[: len(first)] == first
    assert log.size == 4


async def too_long(_growth: Growth) -> Sequence[Signature]:
    """What a registry answers that has broken every rule."""
    return [Signature("w", b"1234", b"x" * 65_536)]


async def test_a_batch_has_a_bound_and_an_entry_that_no_log_takes_changes_nothing(
    start: Start, registry: Registry
) -> None:
    log = await start()
    first = await grow(log)

    for some in ([], [b"x"] * (MAX_BATCH + 1)):
        with pytest.raises(LogError, match=f"1 to {MAX_BATCH} lines"):
            await log.add(some, {})
    with pytest.raises(LogError, match="more than 65535 bytes"):
        await log.add([b"x" * 65_536], {SERVICE: Link(2, GENESIS.head)})
    await log.finish()

    assert await published(log, registry) == first
