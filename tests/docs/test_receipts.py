"""The first lines of the page about receipts verify an answer, once the system has been asked for it and its proof."""

import re
import shlex
from pathlib import Path

from tests.support.saved_answer import Files
from tests.support.system import ROOT

PAGE = (ROOT / "docs" / "reference" / "receipts.md").read_text()
LINES = re.findall(r"^```bash\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)[0].splitlines()


def test_there_are_five_lines() -> None:
    assert len(LINES) == 5


def test_the_last_line_verifies_what_the_others_have_saved(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write()
    for name, on_the_page in {"export": "evidence.jsonl", "run/audit.policy": "audit.policy"}.items():
        (tmp_path / name).rename(tmp_path / on_the_page)

    saved = {one.name for one in tmp_path.iterdir()}
    words = [str(tmp_path / word) if word in saved else word for word in shlex.split(LINES[-1])[1:]]
    shown = files.run([*words, "--accept", str(tmp_path / "accept.yaml")])

    assert shown.exit_code == 0, shown.output
