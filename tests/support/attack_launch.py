"""A machine with its attestation authority, as somebody meets it who can run programs there and write files."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from authorities.attestation.local.launch import Launch, LaunchError
from tests.support.attack import Attempt, Scene
from tests.support.issuer import Issuer
from tests.support.launched import FETCH, Authority, Probe, files_in, launch_probe, locked, project, refusals
from tests.support.leaks import holds_token
from zerotrust.authority.files.snapshot_files import load_registry
from zerotrust.registry.model import Registry
from zerotrust.service import Service


@dataclass
class Machine(Scene):
    """The authority, and the project that it launches from."""

    authority: Authority
    registry: Registry
    place: Path

    @property
    def code(self) -> Path:
        """The folder that every party runs here."""
        return self.place / "project/agents/reader"

    @property
    def leaks(self) -> bool:
        """Whether a key or a token is in any file."""
        return any(b"PRIVATE KEY" in content or holds_token(content) for content in files_in(self.place).values())

    async def probe(self, party: str = "agent/reader") -> Probe:
        """A genuine party, launched."""
        return await launch_probe(self.authority, self.registry, self.place, party=party)

    async def launched(self, launch: Launch, why: str) -> Attempt:
        """Have something launched, and see whether it gets an identity; `why` is what must be told otherwise."""
        try:
            started = await self.authority.launch(launch)
        except LaunchError as error:
            return Attempt("not launched", succeeded=False, recorded=[why] if why in str(error) else [], reason=why)
        return await self.answered(Probe(started, Path(launch.env["ZT_PROBE"])), FETCH, why)

    async def answered(self, probe: Probe, program: str, why: str) -> Attempt:
        """Run something in a launched process that is to get what it should not; `why` is to be on record."""
        return self.attempt(await probe.run(program), why)

    async def stranger(self, program: str, why: str) -> Attempt:
        """The same in a process that nobody launched."""
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"{program}\nprint(answer)"),
            env={"SPIFFE_ENDPOINT_SOCKET": self.authority.endpoint},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        said, errors = await started.communicate()
        return self.attempt((said or errors).decode(), why)

    def attempt(self, answer: Any, why: str) -> Attempt:
        """What came of it: a token, or a refusal on record."""
        got = str(answer).strip().count(".") == 2 and str(answer).startswith("eyJ")
        return Attempt("an identity" if got else "no identity", got, refusals(self.place / "run"), why)


@asynccontextmanager
async def machine(_folder: Path, _issuer: Issuer, _kind: type[Service]) -> AsyncIterator[Machine]:
    """An authority, and nothing launched yet."""
    with project() as place:
        registry = load_registry(place / "project/registry.yaml")
        lock = locked(registry, place / "project")
        async with Authority(registry, lock, place / "project", place / "run") as authority:
            yield Machine(authority, registry, place)
