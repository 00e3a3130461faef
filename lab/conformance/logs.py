"""Programs of other projects read our log: Tessera's fsck its files, and litewitness its checkpoints."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from starlette.staticfiles import StaticFiles

from authorities.audit.ledger import WITNESSES
from lab.conformance.outcome import Outcome
from lab.conformance.running import Missing, emptied, run
from lab.conformance.serving import served
from lab.conformance.ssh_witness import NAME, until, witness
from start.llama_stack import end
from zerotrust.tlog.note import parsed
from zerotrust.tlog.quorum import TrustPolicy, policy
from zerotrust.tlog.tree import InvalidLog
from zt.audit.exports import verified

FSCK, WITNESS = "1.0.4", "0.6.1"
SOUND = "Successfully fsck'd log with size"
WITHIN = 60
"""Seconds in which fsck ends with a sound log; with another one it may wait for ever."""


async def installed(folder: Path, package: str) -> Path:
    """Return a program, which Go fetches and builds once.  Raises `Missing`."""
    program = folder / "bin" / package.partition("@")[0].rpartition("/")[2]
    if not program.exists():
        if (go := shutil.which("go")) is None:
            raise Missing("go is not installed")
        status, output = await run(go, "install", package, env={"GOBIN": str(program.parent)})
        if status:
            raise Missing(f"go cannot fetch or build {package}: {output[-300:]}")
    return program


async def ledger(home: Path, running: Path, demanded: str) -> Outcome:
    """Have fsck read the log of the running ledger, and litewitness cosign it.

    `running`: the folder of its log; `demanded`: the policy of the registry.  Raises `Missing` and `Failed`.
    """
    checker = await installed(home, f"github.com/transparency-dev/tessera/cmd/fsck@v{FSCK}")
    signer = await installed(home, f"filippo.io/torchwood/cmd/litewitness@v{WITNESS}")
    copy, key, believed = emptied(home / "running"), home / "running.vkey", policy(demanded)
    checkpoint, _ = believed.check(parsed(_copied(running, copy) or b""))
    key.write_text(str(believed.logs[0]))
    results = {"the running ledger": await _read(checker, copy, key)}
    results |= await _demanded_of(home, signer, running, demanded)
    return Outcome("ledger", f"{FSCK}, {WITNESS}").expect(
        results,
        {
            "the running ledger": f"{SOUND} {checkpoint.size}",
            "named while the ledger runs": "^lite and registry$",
        },
    )


async def _demanded_of(home: Path, signer: Path, running: Path, demanded: str) -> dict[str, str]:
    """Name litewitness to the running ledger, as docs/reference/audit-log.md says, and have both demanded.

    Return who has signed.  Nothing is asked of the system: it records something within a minute.
    """
    named = running.parent / WITNESSES
    async with witness(signer, emptied(home / "beside"), policy(demanded).logs[0]) as (there, key):
        named.write_text(f"witness lite {key} {there}\nquorum none\n")
        before, quorum = (
            demanded.splitlines()[:-1],
            [f"witness lite {key}", "group both all registry lite", "quorum both"],
        )
        both = policy("\n".join([*before, *quorum]))
        copy = emptied(home / "cosigned-by-both")
        await until(lambda: _copied(running, copy, both), f"{NAME} beside the registry", seconds=120)
        named.unlink()
        found = verified(copy, both, held={}, local=None)
    return {"named while the ledger runs": " and ".join(sorted(found.cosigned))}


def _copied(log: Path, to: Path, demanded: TrustPolicy | None = None) -> bytes | None:
    """Copy a log that grows, and return its checkpoint; nothing, if that is not what a policy demands."""
    note = (log / "checkpoint").read_bytes()  # before the tiles
    if demanded:
        try:
            demanded.check(parsed(note))
        except InvalidLog:
            return None
    shutil.copytree(log, to, dirs_exist_ok=True)
    (to / "checkpoint").write_bytes(note)
    return note


async def _read(program: Path, log: Path, key: Path) -> str:
    """Return what fsck prints of a log; its exit status is 0 in any case, and it may not end."""
    async with served(StaticFiles(directory=log)) as url:
        process = await asyncio.create_subprocess_exec(
            *(program, "-ui=false", "-N", "8", "-storage_url", f"{url}/", "-public_key", key),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = b""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(WITHIN):
                    said, _ = await process.communicate()
        finally:
            await end(process)
    return said.decode(errors="replace")
