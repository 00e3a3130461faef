"""Starts the system of a checkout for `driver.py`: the only file here that imports from the checkout under test.

DIR/.venv/bin/python -I -B -X pycache_prefix=/dev/null start.py DIR FOLDER

It prints one line of JSON when everything runs: the passwords of this run, which the driver keeps in memory.  The
system ends when standard input does.  A commit that moves or renames what is imported here changes this file, too.
"""

import asyncio
import json
import sys
from pathlib import Path


async def main(folder: Path) -> None:
    """Run everything, with an intruder inside each party whose certificate the driver uses."""
    from start.everything import running  # the checkout is on the path only now

    def say(text: object) -> None:
        print(text, file=sys.stderr)

    insiders = ("orchestrator", "agent/reader", "agent/writer", "tool/documents")
    async with running(folder, say=say, insiders=insiders) as system:
        keycloak = system.keycloak
        about = {"passwords": dict(keycloak.passwords), "issuer": keycloak.issuer, "ca": str(system.ca_file)}
        print(json.dumps(about), flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()


if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    try:
        from authorities.attestation.process.closed import continue_closed
    except ImportError:
        pass
    else:
        continue_closed()  # it makes keys only in a process that was closed from its start
    asyncio.run(main(Path(sys.argv[2])))
