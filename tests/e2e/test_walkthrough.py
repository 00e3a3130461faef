"""The walkthrough on the real system, at 80 columns; `docs/learn/walkthrough.md` explains what it really prints."""

import re
import subprocess
from pathlib import Path

import pytest

from demo import containers
from demo.walk import HERE, walk
from start.program import console
from start.system import ROOT, System

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

PAGE = (ROOT / "docs" / "learn" / "walkthrough.md").read_text()
TITLES = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
SAMPLES = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def plain(line: str) -> str:
    """A line without what differs from run to run: numbers, ids, digests, and the spaces between columns."""
    return " ".join(re.sub(r"[0-9a-f-]{8,}|\d+", "#", line).split())


async def test_the_page_explains_what_the_walkthrough_prints(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(console, "_width", 80)
    try:
        with console.capture() as told:
            status = await walk(system, HERE)
    finally:
        (tmp_path / "walkthrough.txt").write_text(told.get())
    printed = told.get().replace("run/test/", "run/walkthrough/")  # the folder of the tests
    lines = printed.splitlines()

    assert status == 0, printed
    assert [line for line in lines if len(line) > 80] == []
    assert [title.strip("─ ") for title in lines if re.match("─+ [A-Z]", title)] == TITLES
    sampled = {plain(line) for sample in SAMPLES for line in sample.splitlines()}
    assert sampled - {plain(line) for line in lines} == set()
    said = "the model `scripted` answered, inside inference: a script, which obeys whatever it reads"
    assert said in " ".join(printed.split())
    assert re.search(r"^All \d+ checks behaved as expected", printed, re.MULTILINE)
    assert [path for path in re.findall(r"^  (docs/\S+)", printed, re.MULTILINE) if not (ROOT / path).exists()] == []
    [picture] = re.findall(r"^The same as a picture, for a browser: (.+)$", told.get(), re.MULTILINE)
    drawn = (ROOT / picture).read_text()
    assert re.search(r"exchange T0 → T1 for agent/reader, without .*task\.run", drawn)
    assert "for user alice" in drawn
    assert "transaction onrtac:" in typed("".join(told.get().rpartition("  .venv/bin/zt ")[1:]))


def typed(command: str) -> str:
    """What a printed command says, which has to succeed."""
    done = subprocess.run(["/bin/bash", "-ec", command], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


async def test_the_walkthrough_in_containers_tells_the_same_from_the_same_code(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here on the system of this machine; `make test-compose` runs it in containers."""
    monkeypatch.setattr(console, "_width", 80)
    with console.capture() as told:
        status = await walk(system, containers.PARTS)
    lines = told.get().splitlines()

    assert status == 0, told.get()
    assert [line for line in lines if len(line) > 80] == []
    told_here = [title.strip("─ ") for title in lines if re.match("─+ [A-Z]", title)]
    assert told_here == [*TITLES[:5], "What is refused", "A rule changes", "Suspension", *TITLES[-2:]]
