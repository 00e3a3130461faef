"""Who was suspended in an earlier run, and stays so: read from what the registry kept, before it runs."""

from pathlib import Path

from authorities.registry.state import State
from start.past import data_of
from start.waiting import there
from zerotrust.registry.model import Registry


async def suspended(registry: Registry, folder: Path) -> dict[str, str]:
    """Return the parties that were suspended in an earlier run in this folder, each with its cause.

    The registry is none of them: it starts all the same, because it is the one that would have to hear of it.
    """
    party = registry.authorities.registry
    file = data_of(folder, party) / "revocations.db"
    if not await there(file):
        return {}
    kept = State(file)
    async with kept.opened():
        causes = {name: kept.revoked.get(("party", registry.id(name))) for name in registry.launched}
    return {name: cause for name, cause in causes.items() if cause and name != party}
