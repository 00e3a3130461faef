"""The program of an intruder inside a genuine workload: it reveals the workload's identity.

Each line on the Unix socket `ZT_INSIDER_SOCKET` is answered by one line of JSON: `x509` by the certificate and its key,
and any other line, taken as an audience, by a new JWT-SVID; or by the error.  No service depends on this code.  It gets
an identity only if a demo or a test starts the attestation authority with a lock that approves this folder.
"""

import asyncio
import base64
import json
import os

from cryptography.hazmat.primitives import serialization

from zerotrust.spiffe.svid import Svid, WorkloadError
from zerotrust.spiffe.workload import Workload


def svid_json(svid: Svid) -> dict[str, object]:
    """Return the parts of an SVID, in DER and base64."""
    key = svid.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = [svid.certificate, *svid.bundle]
    certificates = [base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain]
    return {"id": svid.id, "key": base64.b64encode(key).decode(), "certificates": certificates}


async def main() -> None:
    """Answer until this process is ended."""
    workload = Workload()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            try:
                shown = await shown_for(line.decode().strip())
            except WorkloadError as error:
                shown = {"error": str(error)}
            writer.write(json.dumps(shown).encode() + b"\n")
        writer.close()

    async def shown_for(asked: str) -> dict[str, object]:
        return svid_json(workload.svid) if asked == "x509" else {"jwt_svid": await workload.assertion(asked)}

    async with workload.running():
        server = await asyncio.start_unix_server(answer, os.environ["ZT_INSIDER_SOCKET"])
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
