"""The MCP conformance suite, which needs Node."""

import asyncio
import json
import re
import shutil
from pathlib import Path

from lab.conformance.outcome import Outcome
from lab.conformance.running import Failed, Missing, run

NODE, SUITE = "24.21.0", "0.2.0-alpha.12"
PACKAGES = f"node@{NODE}", f"@modelcontextprotocol/conformance@{SUITE}"
REVISION = "2026-07-28"


async def install_node(folder: Path) -> Path:
    """Install Node 24 and the packages with npm, once; return the folder of their programs.  Raises `Missing`."""
    npm, home = shutil.which("npm"), folder / "npm"
    programs, marker = home / "node_modules" / ".bin", home / "installed"
    if not marker.exists() or marker.read_text() != " ".join(PACKAGES):
        if npm is None:
            raise Missing("npm is not installed")
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text('{"private": true}')
        status, output = await run(npm, "install", "--no-audit", "--no-fund", "--save-exact", *PACKAGES, cwd=home)
        if status:
            raise Missing(f"npm cannot install the packages: {output[-300:]}")
        marker.write_text(" ".join(PACKAGES))
    return programs


async def run_mcp_suite(folder: Path, *, gated: str, bare: str) -> Outcome:
    """Run every scored check that passes on the same SDK without the gate against the tool behind the gate."""
    programs = await install_node(folder)
    behind, without = [await _checks(programs, folder / name, url) for name, url in (("gated", gated), ("bare", bare))]
    outcome = Outcome("MCP conformance suite", f"{SUITE}, {REVISION}")
    for name, passed in without.items():
        if not passed:
            outcome.skipped += 1
        elif behind.get(name, False):
            outcome.passed.add(name)
        else:
            outcome.failed[name] = "fails" if name in behind else "not tried"
    outcome.why_skipped = "for they fail on the SDK alone: they want the suite's own demonstration server"
    return outcome


async def _checks(programs: Path, out: Path, url: str) -> dict[str, bool]:
    """Return whether each scored check, `scenario: check`, passes against a server.  Raises `Failed`."""
    shutil.rmtree(out, ignore_errors=True)
    how = ("--requirements", REVISION, "--timeout", "60000", "--output-dir", str(out))
    _, output = await run(programs / "node", programs / "conformance", "server", "--url", url, *how)
    unscored = set(re.findall(r"^  \S (\S+) \((?:extension|pending)\)", output, re.MULTILINE))
    found: dict[str, bool] = {}
    for file in await asyncio.to_thread(lambda: sorted(out.glob("*/checks.json"))):
        scenario = re.sub(r"^server-|-\d{4}-\d\d-\d\dT.*$", "", file.parent.name)
        for check in json.loads(file.read_bytes()) if scenario not in unscored else []:
            name = f"{scenario}: {check['id']}"
            if check["status"] in {"SUCCESS", "FAILURE"}:
                found[name] = found.get(name, True) and check["status"] == "SUCCESS"
    if not found:
        raise Failed(f"the suite has no results: {output[-300:]}")
    return found
