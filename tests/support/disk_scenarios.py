"""A ledger that works while its disk fails, and what has to be there afterwards."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from authorities.audit.log import LogError
from tests.support.ledger import SERVICE, Registry, lines, opened, published
from zerotrust.audit.record import link_of

BATCHES = (1, 254, 2, 1)
"""Lines of each batch: tiles that begin, are filled at once, and continue."""


TRIES = 4
"""How often what failed is tried again: one call alone fails."""


LINES = lines({}, sum(BATCHES) + len(BATCHES))[0]


HEADS = [{}, *({SERVICE: link_of(line)} for line in LINES)]
"""Where the journal stands after so many lines."""


@dataclass
class Acknowledged:
    """What somebody was told is there for good."""

    records: int = 0
    told: list[bytes] = field(default_factory=list)


async def ledger(root: Path, acknowledged: Acknowledged) -> None:
    """A ledger and the registry, from their first start on; what fails is tried again."""
    registry = Registry(root / "registry")
    for _ in range(TRIES):
        with suppress(LogError):
            log = await opened(root / "ledger", registry)
            break
    try:
        for until in [sum(BATCHES[: n + 1]) for n in range(len(BATCHES))]:
            for _ in range(TRIES):
                with suppress(LogError):
                    await log.finish()
                    there = log.heads[SERVICE].records if log.heads else 0
                    if there < until:
                        await log.add(LINES[there:until], HEADS[until])
                    break
            assert log.heads[SERVICE].records == until
            acknowledged.records = until
    finally:
        await log.close()


async def check_ledger(root: Path, acknowledged: Acknowledged) -> None:
    """All of it is there and verifies, and one more line can be added."""
    registry = Registry(root / "registry")
    log = await opened(root / "ledger", registry)
    found = log.heads[SERVICE].records if log.heads else 0
    assert found >= acknowledged.records
    await log.add(LINES[found : found + 1], HEADS[found + 1])
    assert await published(log, registry) == LINES[: found + 1]
    await log.close()


def begun(folder: Path) -> Path:
    """The folders that a party is given."""
    for party in ("ledger", "registry"):
        (folder / "root" / party).mkdir(parents=True)
    return folder / "root"
