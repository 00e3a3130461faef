"""The A2A compatibility kit, from a checkout: `A2A_TCK=folder`."""

import os
import xml.etree.ElementTree as ET
from pathlib import Path

from lab.conformance.outcome import Outcome
from lab.conformance.running import Failed, Missing, environment, run

PACKAGES = (
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
    python = await environment(folder / "tck", *PACKAGES)
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
