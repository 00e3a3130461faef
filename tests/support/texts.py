"""Texts that people read are held by snapshots in `tests/texts`: a file for each test module, a section for each test.

A test says `assert text == snapshot`.  A section that is missing, differs or is used by no test is a failure.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from syrupy.extensions.amber import AmberSnapshotExtension
from syrupy.location import PyTestLocation

TESTS = Path(__file__).parents[1]
TEXTS = TESTS / "texts"
WRITES_ANEW = "start/run pytest --snapshot-update"

_MASKS = {
    "<folder>": r"/[^\s:]*/pytest-of-[^/\s]+/pytest-\d+(?:/popen-gw\d+)?/[^/\s]+",
    "<project>": re.escape(str(TESTS.parent)),
    "<time>": r"\b(?:\d{4}-)?\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?",
    "<id>": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "<digest>": r"\b[0-9a-f]{12,}\b",
    "<why>": r"(?<=validation failed: )[^;.]+",  # in the words of a library
    "<number>": r"(?<=, line )\d+",
    "<port>": r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d{5}",
}
_NUMBERED = {"<id>", "<digest>"}
"""What is told apart within a text: the second one is `<id 2>`."""


def masked(text: str) -> str:
    """Return the text with a name in the place of each folder, time, id, digest and port: they differ in each run."""
    for name, pattern in _MASKS.items():
        known = dict.fromkeys(re.findall(pattern, text) if name in _NUMBERED else ())
        numbers = {found: f"{name[:-1]} {number}>" for number, found in enumerate(known, 1) if number > 1}
        text = re.sub(pattern, lambda found: numbers.get(found[0], name), text)  # noqa: B023 - called at once
    return text


class Texts(AmberSnapshotExtension):
    """Where snapshots are, and how they are written: as the text itself, so that a person can read the file."""

    file_extension = "txt"

    def serialize(self, data: object, **_options: object) -> str:
        assert isinstance(data, str)
        assert data.strip(), "an empty text needs no snapshot"
        lines = (line.rstrip() for line in data.strip("\n").splitlines())
        return masked("\n".join(line for line in lines if line.strip(" ─") or not line))  # no lines of tables

    def diff_lines(self, serialized_data: str | bytes, snapshot_data: str | bytes) -> Iterator[str]:
        yield from super().diff_lines(serialized_data, snapshot_data)
        yield f"If this is meant: {WRITES_ANEW} FILE"

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """Return the folder for the snapshots of a test: that of its suite."""
        return str(TEXTS / Path(test_location.filepath).parent.relative_to(TESTS))

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        """Return whether the file has snapshots of the module of this test: modules of two suites may share a name."""
        return snapshot_location == cls.get_location(test_location=test_location, index=0)
