"""The MCP conformance suite, which needs Node, and the A2A compatibility kit, from a checkout: `A2A_TCK=folder`."""

import asyncio
import json
import os
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

from lab.conformance.outcome import Outcome
from lab.conformance.running import Failed, Missing, environment, run

NODE, SUITE = "24.21.0", "0.2.0-alpha.12"
REVISION = "2026-07-28"


async def install_node(folder: Path, *packages: str) -> Path:
    """Install Node 24 and these packages with npm, once; return the folder of the programs.  Raises `Missing`."""
    npm, home, packages = shutil.which("npm"), folder / "npm", (f"node@{NODE}", *packages)
    programs, marker = home / "node_modules" / ".bin", home / "installed"
    if not marker.exists() or marker.read_text() != " ".join(packages):
        if npm is None:
            raise Missing("npm is not installed")
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text('{"private": true}')
        # By default, npm tries each package for minutes where there is no network.
        how = "--prefer-offline", "--fetch-retries=0", "--no-audit", "--no-fund", "--save-exact"
        status, output = await run(npm, "install", *how, *packages, cwd=home)
        if status:
            raise Missing(f"npm cannot install the packages: {output[-300:]}")
        marker.write_text(" ".join(packages))
    return programs


async def run_mcp_suite(folder: Path, *, gated: str, bare: str) -> Outcome:
    """Run every scored check that passes on the same SDK without the gate against the tool behind the gate."""
    programs = await install_node(folder, f"@modelcontextprotocol/conformance@{SUITE}")
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


KIT_PACKAGES = (
    "pytest==9.2.0",
    "pytest-asyncio==1.5.0",
    "pytest-html==4.2.0",
    "httpx==0.28.1",
    "grpcio==1.85.3",
    "protobuf==7.36.2",
    "googleapis-common-protos==1.76.0",
    "jsonschema==4.26.0",
    "gherkin-official==42.0.1",
    "Jinja2==3.1.6",
)
"""The packages that it needs."""
LEVEL = "must"


async def run_kit(folder: Path, url: str) -> Outcome:
    """Run the kit's checks of level MUST over JSON-RPC.  Raises `Missing` and `Failed`."""
    if not (named := os.environ.get("A2A_TCK")):
        raise Missing("A2A_TCK names no checkout of the kit")
    checkout, report = Path(named), folder / "tck.xml"
    if not (checkout / "run_tck.py").exists():
        raise Missing(f"{checkout} has no run_tck.py")
    python = await environment(folder / "tck", *KIT_PACKAGES)
    report.unlink(missing_ok=True)
    suite = ("tests/compatibility/", f"--sut-host={url}", "--transport=jsonrpc", "-m", LEVEL, "-q", "--tb=line")
    _, output = await run(python, "-m", "pytest", *suite, f"--junitxml={report}", cwd=checkout)
    if not report.exists():
        raise Failed(f"it has no results: {output[-300:]}")
    _, commit = await run("git", "-C", checkout, "rev-parse", "--short", "HEAD")
    outcome = Outcome("A2A compatibility kit", f"{commit.strip()}, {LEVEL}", why_skipped="not offered by the card")
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - written by the program above
        name, children = f"{case.get('name')}", {child.tag: child for child in case}
        if "skipped" in children:
            outcome.skipped += 1
        elif (found := children.get("failure", children.get("error"))) is not None:
            outcome.failed[name] = str(found.get("message"))[:300]
        else:
            outcome.passed.add(name)
    return outcome
