"""Stands for an intruder who runs code inside a genuine workload: it shows its identity to whoever asks.

Each line on the Unix socket `ZT_INSIDER_SOCKET` names an audience and is answered by one line of JSON, with a fresh
JWT-SVID or the error. Nothing in `zerotrust` or in a service knows that this exists. It has an identity only where a
demo or a test composes the authority itself, and launches this folder in a party's name.
"""

import asyncio
import json
import os

from zerotrust.workload import Workload, WorkloadError


async def main() -> None:
    """Answer for as long as this process is left alive."""
    workload = Workload()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            try:
                shown = {"jwt_svid": await workload.assertion(line.decode().strip())}
            except WorkloadError as error:
                shown = {"error": str(error)}
            writer.write(json.dumps(shown).encode() + b"\n")
        writer.close()

    server = await asyncio.start_unix_server(answer, os.environ["ZT_INSIDER_SOCKET"])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
