"""The suites and clients that need Node: the MCP conformance suite, MCP Inspector, the TypeScript SDKs."""

import asyncio
import json
import re
import shutil
from pathlib import Path

from lab.conformance.outcome import Outcome
from lab.conformance.running import Failed, Missing, printed, run

NODE, SUITE, INSPECTOR, CLIENT, SDK = "24.21.0", "0.2.0-alpha.12", "2.12.0", "2.4.0", "1.32.2"
PACKAGES = (
    f"node@{NODE}",
    f"@modelcontextprotocol/conformance@{SUITE}",
    f"@modelcontextprotocol/inspector@{INSPECTOR}",
    f"@modelcontextprotocol/client@{CLIENT}",
    f"@modelcontextprotocol/sdk@{SDK}",
)
REVISION = "2026-07-28"
ADVICE = "speaks MCP 2026-07-28 only"
SCRIPTS = Path(__file__).parent / "clients"


async def node(folder: Path) -> Path:
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
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, home)
    return programs


async def mcp_suite(folder: Path, *, gated: str, bare: str) -> Outcome:
    """Run every scored check that passes on the same SDK without the gate against the tool behind the gate."""
    programs = await node(folder)
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


async def inspector(folder: Path, url: str) -> Outcome:
    """Run MCP Inspector on the command line, with the modern protocol version and with its default."""

    programs = await node(folder)

    async def output(era: str, *how: str) -> str:
        eras = ("--protocol-era", era) if era else ()
        status, said = await run(
            programs / "node",
            programs / "mcp-inspector",
            *("--cli", "--server-url", url, "--transport", "http", "--format", "json", *eras, *how),
        )
        return f"{status} {said}"

    called = ("--method", "tools/call", "--tool-name", "read", "--tool-arg", "id=ENG-101")
    came = {f"{era}: list": await output(era, "--method", "tools/list") for era in ("modern", "auto")}
    came["modern: call"] = await output("modern", *called)
    came["default: list"] = await output("", "--method", "tools/list")
    return Outcome("MCP Inspector", INSPECTOR).expect(
        came,
        {
            "modern: list": r'^0 .*"search".*"read"',
            "auto: list": r'^0 .*"search".*"read"',
            "modern: call": r"^0 .*certificate",
            "default: list": rf"^[1-9].*{ADVICE}",
        },
    )


async def typescript(folder: Path, url: str) -> list[Outcome]:
    """Run the TypeScript SDKs: version 2 in every mode, and version 1."""
    programs, home = await node(folder), folder / "npm"
    output = [await run(programs / "node", home / script, url) for script in ("modern.mjs", "legacy.mjs")]
    modern, legacy = (printed(said) for _, said in output)
    wanted = {"legacy: connect": ADVICE}
    for mode in ("pinned", "auto", "auto, of a later revision"):
        wanted |= {
            f"{mode}: connect": "^ok$",
            f"{mode}: offers": "^tools$",
            f"{mode}: list": "^search,read$",
            f"{mode}: call": "^ok$",
            f"{mode}: call beyond the scope": "InsufficientScopeError.*tool.write",
        }
    return [
        Outcome("TypeScript SDK 2", CLIENT).expect(modern, wanted),
        Outcome("TypeScript SDK 1 (2025-11-25)", SDK).expect(legacy, {"connect": ADVICE}),
    ]
