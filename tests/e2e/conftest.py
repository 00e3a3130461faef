"""What the end-to-end tests call the system: the real one."""

import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from demo.intruder import Intruder
from start.sign_in import CA
from start.system import ROOT, System
from tests.support.real import RUN, ZT, Typed

SECONDS_BEFORE, MOST_LINES = 60, 40
"""Of the parties' logs, below a failure: the cause is often what a party did before."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show below a failure what the parties logged just before."""
    report = yield
    if report.failed and "real" in getattr(item, "fixturenames", ()):
        since = time.time() - SECONDS_BEFORE
        lines = [
            f"{log.stem}: {line}"
            for log in sorted(RUN.glob("logs/*.log"))
            if log.stat().st_mtime >= since
            for line in log.read_text(errors="replace").splitlines()[-MOST_LINES:]
        ]
        report.sections.append((f"the parties' logs of the last {SECONDS_BEFORE} s", "\n".join(lines)))
    return report


@pytest.fixture(scope="session")
def system(real: System) -> System:
    """Everything, as `make demo` starts it."""
    return real


@pytest_asyncio.fixture(loop_scope="session")
async def intruder(system: System) -> AsyncIterator[Intruder]:
    async with AsyncExitStack() as stack:
        yield Intruder(system, stack)


@pytest.fixture
def by_hand(system: System, tmp_path: Path) -> Iterator[dict[str, str]]:
    """As somebody types after `make up`: the CA's certificate in its place, and olga at the browser that opens."""
    before = CA.read_bytes() if CA.exists() else None
    CA.write_bytes(system.authority.ca_file.read_bytes())
    olga = tmp_path / "olga.json"
    olga.write_text(json.dumps({"user": "olga", "password": system.keycloak.passwords["olga"], "ca": str(CA)}))
    kept = {"XDG_RUNTIME_DIR": str(tmp_path)}
    yield {**os.environ, **kept, "ZT_USER": "olga", "BROWSER": f"{ROOT}/start/run testkit.browser {olga} %s"}
    CA.unlink() if before is None else CA.write_bytes(before)


@pytest.fixture
def typed(by_hand: dict[str, str]) -> Typed:
    """The installed `zt`, as olga."""

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own program
            [ZT, *words], cwd=ROOT, env=by_hand, capture_output=True, text=True, timeout=60, check=False
        )

    return typed


@pytest.fixture
def zt(typed: Typed) -> Callable[..., str]:
    """What it prints where it succeeds."""

    def printed(*words: str) -> str:
        done = typed(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return printed
