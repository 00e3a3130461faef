"""What a reader has to hold in mind, measured and printed with its target.  No number fails: lines have the caps."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from types import FrameType
from typing import Any

import pytest

from tests.docs.test_budgets import FILES, is_product
from tests.support.attack import MCP_HEADERS, tool_call
from tests.support.issuer import Issuer
from tests.support.system import ROOT, registry, running
from tests.support.tasks import READ_IT, worked
from zerotrust.authority.files.lock import load_lock

TOOL = "tool/documents"


@contextmanager
def calls_of_ours() -> Iterator[Counter[Path]]:
    """Count the calls of the product's functions in a block, by file."""
    ours = {str(ROOT / file): file for file in FILES if is_product(file)}
    counted = Counter[Path]()

    def note(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and (file := ours.get(frame.f_code.co_filename)):
            counted[file] += 1

    sys.setprofile(note)
    try:
        yield counted
    finally:
        sys.setprofile(None)


def length(files: set[Path]) -> int:
    return sum((ROOT / file).read_text().count("\n") for file in files)


def rows(page: str, pattern: str) -> int:
    return len(re.findall(pattern, (ROOT / page).read_text(), re.MULTILINE))


def files_by_hand(*words: str) -> int:
    """Return how many files of the product that people write name one of these words."""
    written = [file for file in FILES if is_product(file) and "generated" not in file.parts and file.suffix != ".lock"]
    texts = [file.read_bytes() for file in written if file.is_file()]
    return sum(any(word.encode() in text for word in words) for text in texts)


CONCEPTS: dict[str, Callable[[], int]] = {
    "attacks": lambda: rows("docs/reference/attacks.md", r"^\| \d+ \|"),
    "reasons": lambda: rows("docs/reference/reasons.md", r"^\| `[a-z_]+` \|"),
    "bounds": lambda: rows("docs/reference/bounds.md", r"^\| `"),
    "settings": lambda: rows("docs/reference/settings.md", r"^\| `ZT_"),
    "commands of zt": lambda: rows("docs/reference/zt.md", r"^### zt "),
    "targets of make": lambda: rows("Makefile", r"^[a-z-]+:.*## "),
    "words of the glossary": lambda: rows("docs/reference/glossary.md", r"^\| [a-z][^|]+ \| [^|]+ \|"),
    "pages": lambda: len([file for file in FILES if file.parts[0] == "docs" and file.suffix == ".md"]),
}


async def measure_calls(folder: Path, issuer: Issuer) -> tuple[Counter[Path], Counter[Path], float]:
    """Return the calls of ours in a warm read and in a warm task, by file, and the task's CPU seconds."""
    token = issuer.delegated("orchestrator", "agent/reader", aud=issuer.registry.id(TOOL), scope="tool.read")
    headers = {key.decode(): value.decode() for key, value in MCP_HEADERS}
    headers |= {"mcp-method": "tools/call", "mcp-name": "read"}
    async with running(folder, issuer=issuer) as system, system.client(TOOL, token) as http:
        for _warm in range(2):
            with calls_of_ours() as read:
                answer = await http.post("/mcp", json=tool_call("read", id="ENG-101"), headers=headers)
        assert answer.status_code == 200, answer.text
        user = issuer.token()
        await worked(system, user, READ_IT)
        with calls_of_ours() as task:
            _, last = await worked(system, user, READ_IT)
        assert last["status"] == 200
        began = process_time()
        await worked(system, user, READ_IT)
        return read, task, process_time() - began


async def test_measures_are_printed(tmp_path: Path, issuer: Issuer, capsys: pytest.CaptureFixture[str]) -> None:
    read, task, spent = await measure_calls(tmp_path, issuer)
    lock = load_lock(ROOT / "registry.lock")
    closures = {name: {*map(Path, lock.files_of(name))} for name in registry().launched}
    largest = max(closures, key=lambda name: length(closures[name]))
    concepts = {name: count() for name, count in CONCEPTS.items()}
    assert min(concepts.values()) > 0, concepts
    measures = {
        "modules of ours that a warm read enters": (len(read), 30),
        "lines of these modules": (length({*read}), 3_800),
        "calls of ours in a warm task": (task.total(), 4_500),
        "of these, calls of revocation": (sum(task[file] for file in task if file.stem.startswith("revocation")), 300),
        "milliseconds on a core of a warm task, in process": (round(spent * 1000), 60),
        f"lines of the largest closure of a party, {largest}": (length(closures[largest]), 10_000),
        "files by hand that name the party agent/writer": (
            files_by_hand("agent/writer", "agent-writer", "writer.agent"),
            5,
        ),
        "files by hand that name the scope tool.write": (files_by_hand("tool.write"), 5),
        "files by hand that name the check caller-not-revoked": (files_by_hand("caller-not-revoked"), 3),
        "files by hand that name the claim act": (files_by_hand('"act"', "'act'", ".act"), 5),
        f"concepts ({', '.join(f'{count} {name}' for name, count in concepts.items())})": (sum(concepts.values()), 800),
    }
    with capsys.disabled():
        print("", *(f"{there:,} {name}; target {target:,}" for name, (there, target) in measures.items()), sep="\n")
