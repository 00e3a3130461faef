"""Another process of the same user, which waits for one that will hold keys, and looks for them in its memory.

Root may look into everything, so where root runs the tests, spy and target run without root's capabilities: then both
are an ordinary user whose id is 0, and every file stays where it is.
"""

import asyncio
import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Collection
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_PR_SET_SECUREBITS, _SECBIT_NOROOT, _SECBIT_NOROOT_LOCKED = 28, 1, 2


def _without_capabilities() -> None:
    if ctypes.CDLL(None).prctl(_PR_SET_SECUREBITS, _SECBIT_NOROOT | _SECBIT_NOROOT_LOCKED):
        raise OSError("root keeps its capabilities")


ORDINARY: dict[str, Any] = {} if os.geteuid() else {"preexec_fn": _without_capabilities}
"""How to start a process as an ordinary user."""

# Keeps what it could open of each process whose command line holds its argument; says when it could open one, and when
# it could not, each once. When its input ends, it reads all that it can by those descriptors, and prints the x
# coordinate of the public half of each key that it finds: OpenSSL keeps the private half, 32 bytes, in a block of
# malloc(3) of its own, whose head says 49 (its size, with a flag).
_PROGRAM = r"""
import json, os, select, sys

target, kept, last, refused = sys.argv[1].encode(), [], {}, False
print("looking", flush=True)
while not select.select([0], [], [], 0.002)[0]:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(pid) == os.getpid() or target not in open(f"/proc/{pid}/cmdline", "rb").read():
                continue
        except OSError:
            continue
        try:
            if pid in last and os.pread(last[pid], 1, 0):
                continue  # the memory that was opened is still the one that it has
            maps = os.open(f"/proc/{pid}/maps", os.O_RDONLY)
            memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        except PermissionError:
            print("refused", flush=True) if not refused else None
            refused = True
            continue
        except OSError:  # it has ended
            continue
        print("opened", flush=True) if not kept else None
        kept.append((maps, memory))
        last[pid] = maps

from cryptography.hazmat.primitives.asymmetric import ec

CURVE, HEAD = ec.SECP256R1(), (49).to_bytes(8, "little")
found, read = set(), 0
for maps, memory in kept:
    try:
        lines = b"".join(iter(lambda: os.read(maps, 65536), b"")).decode().splitlines()
    except ProcessLookupError:  # it has ended
        continue
    for area, access in (line.split()[:2] for line in lines):
        if not access.startswith("rw"):
            continue
        begin, end = (int(number, 16) for number in area.split("-"))
        try:
            content = os.pread(memory, end - begin, begin)
        except OSError:
            continue
        read += len(content)
        at = content.find(HEAD)
        while at >= 0:
            if at % 16 == 8 and 0 < (number := int.from_bytes(content[at + 8 : at + 40], "little")) < 1 << 256:
                try:
                    found.add(ec.derive_private_key(number, CURVE).public_key().public_numbers().x)
                except ValueError:
                    pass
            at = content.find(HEAD, at + 8)
print(json.dumps({"opened": len(kept), "read": read, "found": [hex(x) for x in found]}))
"""


class Spy:
    """An async context: looks for a process whose command line holds a text, for as long as the block runs."""

    def __init__(self, target: str) -> None:
        self._target = target

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", "-c", _PROGRAM, self._target),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **ORDINARY,
        )
        assert await self._line() == "looking"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()

    async def has(self, what: str) -> None:
        """Wait until it has `opened` the memory of such a process, or was `refused`."""
        while (line := await self._line()) != what:
            assert line, "the spy has ended"

    async def found(self, keys: Collection[EllipticCurvePublicKey]) -> tuple[dict[str, Any], bool]:
        """Have it read now; return what it says of itself, and whether it has the private half of one of `keys`."""
        output, _ = await self._process.communicate(b"")
        told = json.loads(output.splitlines()[-1])
        return told, bool({hex(key.public_numbers().x) for key in keys} & {*told.pop("found")})

    async def _line(self) -> str:
        assert self._process.stdout
        return (await asyncio.wait_for(self._process.stdout.readline(), 60)).decode().strip()
