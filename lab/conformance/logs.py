"""Tries programs of other projects on our log: Tessera's fsck reads its files, litewitness cosigns it."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from starlette.staticfiles import StaticFiles

from authorities.audit.ledger import WITNESSES
from lab.conformance.outcome import Outcome
from lab.conformance.running import Missing, empty_folder, run
from lab.conformance.serving import hosting
from lab.conformance.ssh_witness import NAME, wait_until, witness
from start.child import end
from zerotrust.tlog.note import parse_note
from zerotrust.tlog.quorum import TrustPolicy, policy
from zerotrust.tlog.tree import InvalidLog
from zt.audit.exports import verify_export

FSCK, WITNESS = "1.0.4", "0.6.1"
SOUND = "Successfully fsck'd log with size"
WITHIN = 60
"""Seconds in which fsck ends with a sound log; with another one it may wait for ever."""


async def install(folder: Path, package: str) -> Path:
    """Return a program, which Go fetches and builds once.  Raises `Missing`."""
    program = folder / "bin" / package.partition("@")[0].rpartition("/")[2]
    if not program.exists():
        if (go := shutil.which("go")) is None:
            raise Missing("go is not installed")
        status, output = await run(go, "install", package, env={"GOBIN": str(program.parent)})
        if status:
            raise Missing(f"go cannot fetch or build {package}: {output[-300:]}")
    return program


async def check_ledger(home: Path, running: Path, demanded: str) -> Outcome:
    """Have fsck read the log of the running ledger, and litewitness cosign it.

    `running`: the folder of its log; `demanded`: the policy of the registry.  Raises `Missing` and `Failed`.
    """
    checker = await install(home, f"github.com/transparency-dev/tessera/cmd/fsck@v{FSCK}")
    signer = await install(home, f"filippo.io/torchwood/cmd/litewitness@v{WITNESS}")
    copy, key, believed = empty_folder(home / "running"), home / "running.vkey", policy(demanded)
    checkpoint, _ = believed.check(parse_note(_copy_log(running, copy) or b""))
    key.write_text(str(believed.logs[0]))
    results = {"the running ledger": await _run_fsck(checker, copy, key)}
    results |= await _demand_witness(home, signer, running, demanded)
    wanted = {"the running ledger": f"{SOUND} {checkpoint.size}", "named while the ledger runs": "^lite and registry$"}
    return Outcome("ledger", f"{FSCK}, {WITNESS}").expect(results, wanted)


async def _demand_witness(home: Path, signer: Path, running: Path, demanded: str) -> dict[str, str]:
    """Name litewitness to the running ledger, as docs/reference/audit-log.md says, and demand its cosignature.

    Return who has signed.  Nothing is asked of the system: it records something within a minute.
    """
    named = running.parent / WITNESSES
    async with witness(signer, empty_folder(home / "beside"), policy(demanded).logs[0]) as (there, key):
        named.write_text(f"witness lite {key} {there}\nquorum none\n")
        quorum = f"witness lite {key}", "quorum lite"
        lite = policy("\n".join([*demanded.splitlines()[:-1], *quorum]))
        copy = empty_folder(home / "cosigned-by-lite")
        await wait_until(lambda: _copy_log(running, copy, lite), f"{NAME} beside the registry", seconds=120)
        named.unlink()
        found = verify_export(copy, lite, local=None)
    return {"named while the ledger runs": " and ".join(sorted(found.cosigned))}


def _copy_log(log: Path, to: Path, demanded: TrustPolicy | None = None) -> bytes | None:
    """Copy a log that grows, and return its checkpoint; nothing, if that is not what a policy demands."""
    note = (log / "checkpoint").read_bytes()  # before the tiles
    if demanded:
        try:
            demanded.check(parse_note(note))
        except InvalidLog:
            return None
    shutil.copytree(log, to, dirs_exist_ok=True)
    (to / "checkpoint").write_bytes(note)
    return note


async def _run_fsck(program: Path, log: Path, key: Path) -> str:
    """Return what fsck prints of a log; its exit status is 0 in any case, and it may not end."""
    async with hosting(StaticFiles(directory=log)) as url:
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
