"""The attestation authority of a test's project in a process of its own: it launches the reader, and prints its pid.

start/run tests.support.authority_alone ROOT RUN_DIR PROBE
"""

import asyncio
import sys
from pathlib import Path

from start.launches import launch_of
from tests.support.launched import Authority
from zerotrust.authority.files.lock import load_lock
from zerotrust.authority.files.snapshot_files import load_registry


async def main(root: Path, run_dir: Path, probe: Path) -> None:
    """Serve until killed."""
    registry, lock = load_registry(root / "registry.yaml"), load_lock(root / "registry.lock")
    async with Authority(registry, lock, root, run_dir) as authority:
        launched = await authority.launch(launch_of(registry, "agent/reader", {"ZT_PROBE": str(probe)}))
        print(launched.process.pid, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))
