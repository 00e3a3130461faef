"""M. Another process of the same user; and what a stolen key of the trust domain would be worth."""

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509

from lab.without import Control
from tests.attacks.table import ROWS, described
from tests.support.launched import PROJECT, locked, project
from tests.support.spy import ORDINARY, Spy
from zerotrust.registry import load_registry

# The authority's own program, but that it waits for a line before it begins, and that some controls are missing.
BOOTSTRAP = """
import json, sys
print("open", flush=True)
sys.stdin.readline()
from authorities.attestation import main
from lab.without import Control, without
with without(*(Control(**control) for control in json.loads(sys.argv.pop(1)))):
    main.run()
"""

WITHOUT = ROWS[130].removable[0]


async def spied(place: Path, missing: tuple[Any, ...]) -> bool:
    """Whether a process that opened the authority's memory at its start, and kept it open, finds one of its keys."""
    run_dir, pipe = place / "run", subprocess.PIPE
    controls = json.dumps([asdict(control) for control in missing if isinstance(control, Control)])
    program = [sys.executable, "-c", BOOTSTRAP, controls, "--root", str(place / "project"), "--run-dir", str(run_dir)]
    async with Spy(str(run_dir)) as spy:
        serving = await asyncio.create_subprocess_exec(*program, cwd=PROJECT, stdin=pipe, stdout=pipe, **ORDINARY)
        assert serving.stdin
        assert serving.stdout
        try:
            await spy.has("opened")
            while (line := await asyncio.wait_for(serving.stdout.readline(), 60)) == b"open\n":
                serving.stdin.write(b"\n")
            assert json.loads(line)["ready"]
            told, found = await spy.found(await keys(json.loads(line)))
            assert told["opened"] == 1
            return found
        finally:
            serving.kill()
            await serving.communicate()


async def keys(ready: dict[str, Any]) -> list[Any]:
    """The public halves of the authority's keys: the CA's, and that of JWT-SVIDs."""
    ca = Path(ready["ca"]).read_bytes()
    tls = ssl.create_default_context(cadata=ca.decode())
    async with httpx.AsyncClient(verify=tls) as http:
        entries = (await http.get(ready["bundle"])).json()["keys"]
    [jwt_key] = [jwt.PyJWK(entry).key for entry in entries if entry["use"] == "jwt-svid"]
    return [x509.load_pem_x509_certificate(ca).public_key(), jwt_key]


@pytest.fixture
def place() -> Iterator[Path]:
    with project() as place:
        locked(load_registry(place / "project/registry.yaml"), place / "project")
        yield place


@pytest.mark.attack(130, "refused")
async def test_a_key_in_memory_that_was_opened_early(
    place: Path, record_property: Callable[[str, object], None]
) -> None:
    assert not await spied(place, ())
    record_property("answers", "no key")


@pytest.mark.attack(130, f"succeeds without {described(WITHOUT)}")
async def test_a_key_in_memory_that_was_opened_early_without_the_control(place: Path) -> None:
    assert await spied(place, WITHOUT)
