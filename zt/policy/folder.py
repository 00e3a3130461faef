"""Reads and writes the folder in which a security team edits the policies."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zerotrust.authority.files.reading import RegistryError, read_content
from zerotrust.authority.files.snapshot_files import SCHEMA, policy_files
from zerotrust.limits.answers import MAX_ANSWER
from zerotrust.limits.strict_json import strict_object
from zt.errors import CommandError

TABLE = "decisions.md"
"""The decision table."""
MOST_OTHERS = 5
"""Other files that are named: enough to see a misspelt name."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,57}\.cedar")


def read(folder: Path) -> dict[str, Any]:
    """Return the policies in a folder, as the policy authority takes them.  Raises `CommandError`."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise CommandError(
            f"{folder} {what}: name the folder of the policies, or none for policies/ itself.", "policies_unreadable"
        )
    try:
        if bad := [file for file in policy_files(folder) if not _NAME.fullmatch(file.name)]:
            raise CommandError(
                f"{bad[0]}: rename it: a policy file has lower-case letters, digits, - and _ only.",
                "policies_unreadable",
            )
        return {
            "policies": {file.name: _text(file) for file in policy_files(folder)},
            "cedar_schema": _text(folder / SCHEMA),
            "table": _text(folder / TABLE),
        }
    except (RegistryError, UnicodeDecodeError) as error:
        raise CommandError(f"{error}: is {folder} the folder of the policies?", "policies_unreadable") from error


def read_input() -> dict[str, Any]:
    """Return the policies in standard input, one JSON object.  Raises `CommandError`."""
    try:
        return strict_object(sys.stdin.buffer.read(MAX_ANSWER + 1))
    except ValueError as error:
        raise CommandError(f"Standard input has no policies in JSON ({error}).", "policies_unreadable") from error


def other_files(folder: Path) -> list[str]:
    """Return the names of what else is in a folder, at most `MOST_OTHERS`: a misspelt policy file is among them."""
    names = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    return [name for name in names if name not in (SCHEMA, TABLE) and not name.endswith(".cedar")][:MOST_OTHERS]


def files(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each file by its name.  Raises `CommandError` for a name that no file here has."""
    policies = {str(name): str(text) for name, text in told["policies"].items()}
    if bad := [name for name in policies if not _NAME.fullmatch(name)]:
        raise CommandError(
            f"the policy authority has a policy file of the name {bad[0]!r}, which is none.", "policies_unreadable"
        )
    return policies | {SCHEMA: str(told["cedar_schema"]), TABLE: str(told["table"])}


def write(told: Mapping[str, Any], folder: Path) -> None:
    """Write the policies into a folder that has none.  Raises `CommandError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CommandError(f"{folder} is not empty: name a new folder.", "policies_unreadable")
        for name, text in files(told).items():
            (folder / name).write_text(text)
    except OSError as error:
        raise CommandError(f"{folder} cannot be written ({error.strerror}).", "policies_unreadable") from error


def _text(file: Path) -> str:
    return read_content(file, most=MAX_ANSWER).decode()  # the authority has smaller bounds, and names them
