"""Programs in Go; go-spiffe, the official library, against the Workload API, through a relay that is a workload."""

import shutil
from functools import partial
from pathlib import Path

from authorities.attestation.local.launch import Launch
from lab.conformance.outcome import Outcome
from lab.conformance.running import Failed, Missing, printed, run
from local.system import System
from local.waiting import there, until

VERSION, PARTY = "2.9.0", "agent/reader"
RELAY = ("lab/conformance/relay",)
SOURCE = Path(__file__).parent / "spiffe"


def _go() -> str:
    if (go := shutil.which("go")) is None:
        raise Missing("go is not installed")
    return go


async def installed(folder: Path, package: str) -> Path:
    """Return a program, which Go fetches and builds once.  Raises `Missing`."""
    program = folder / "bin" / package.partition("@")[0].rpartition("/")[2]
    if not program.exists():
        status, output = await run(_go(), "install", package, env={"GOBIN": str(program.parent)})
        if status:
            raise Missing(f"go cannot fetch or build {package}: {output[-300:]}")
    return program


async def spiffe(system: System, folder: Path) -> Outcome:
    """Build the client with Go, and let it use the API as the reader.  Raises `DemoError`, `Missing` and `Failed`."""
    go, home = _go(), folder / "spiffe"
    home.mkdir(exist_ok=True)
    for file in SOURCE.iterdir():
        shutil.copy(file, home)
    program = home / "client"
    status, output = await run(go, "mod", "download", cwd=home)
    if status:
        raise Missing(f"go cannot fetch the packages: {output[-300:]}")
    status, output = await run(go, "build", "-mod=mod", "-o", program, ".", cwd=home)
    if status:
        raise Failed(f"go cannot build it: {output[-300:]}")
    socket, name = home / "relay.sock", system.registry.id(PARTY)
    socket.unlink(missing_ok=True)
    launch = Launch(party_id=name, name="relay", code=RELAY, env={"ZT_RELAY_SOCKET": str(socket)})
    relay = await system.authority.launch(launch)
    try:
        await until(partial(there, socket), relay, system.log("relay"))
        _, output = await run(program, socket, name)
    finally:
        await relay.end()
    itself = f"^{name}"
    return Outcome("go-spiffe", VERSION).expect(
        printed(output),
        {
            "X.509-SVID": itself,
            "X.509 context": itself,
            "JWT-SVID": rf"{itself} ?\[a b\]$",
            "JWT bundles": itself,
            "validated by the API": itself,
            "another audience": "^error: ",
            "a signature changed": "^error: ",
            "the SVID of another": "^error: ",
            "X.509 source": itself,
            "JWT source": itself,
        },
    )
