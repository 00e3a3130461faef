"""Passes bytes between its own Unix socket and the Workload API, which answers this process as a workload.

So a client in another language, which nobody has measured, can be tested against the API.  Composed by
`make conformance` alone, with a lock that approves this folder.
"""

import asyncio
import os


async def main() -> None:
    """Relay for as long as this process is left alive."""
    there = os.environ["SPIFFE_ENDPOINT_SOCKET"].removeprefix("unix:").removeprefix("//")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond_reader, beyond_writer = await asyncio.open_unix_connection(there)
        try:
            await asyncio.gather(_pipe(reader, beyond_writer), _pipe(beyond_reader, writer))
        finally:
            writer.close()
            beyond_writer.close()

    server = await asyncio.start_unix_server(relay, os.environ["ZT_RELAY_SOCKET"])
    await server.serve_forever()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
