"""Gives a name to all that differs between two runs; the rest must be the same, and have no secret in it.  Pure."""

import difflib
import re

VARIES = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\bDRAFT-[0-9a-f]{8}\b"), "DRAFT-<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?"), "<time>"),
    (re.compile(r"\b20\d\d-[01]\d-[0-3]\d\b"), "<date>"),
    (re.compile(r"\b[0-2]\d:[0-5]\d\b"), "<time>"),
    (re.compile(r"\b1[7-9]\d{8}\b"), "<time>"),
    (re.compile(r'(?<="receipts":")[\w.~-]+'), "…"),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d{4,5}\b"), r"\1:<port>"),
)
"""Allowed differences besides milliseconds: ids, times, receipts and ports; no status, reason, rule or scope."""
MILLISECONDS = re.compile(r"\b(\d+(?:\.\d+)?) ms\b")
RANGES = 0.1, 1, 3
"""Seconds: in the place of milliseconds, a notebook stores which of these they are under.  It may differ in that."""
RANGE = re.compile(r"<(?:under|over) [\d.]+ s>")

SECRET = re.compile(
    r"(?i:eyJ[\w-]+\.[\w.-]+|-----BEGIN [A-Z ]*PRIVATE KEY|[0-9a-f]{32,})"
    r"|(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{43,}"  # 32 bytes as base64url
)
"""A token, a key, and what passwords and secrets of a run look like."""

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def normal(text: str) -> str:
    """Return a text with a name for each thing that differs between runs."""
    for pattern, name in VARIES:
        text = pattern.sub(name, text)
    return MILLISECONDS.sub(_range, text)


def _range(found: re.Match[str]) -> str:
    under = next((most for most in RANGES if float(found[1]) < most * 1000), None)
    return f"<under {under} s>" if under else f"<over {RANGES[-1]} s>"


def sorted_lists(text: str) -> str:
    """Return a text of Keycloak's, which prints a set in any order."""
    return re.sub(r"(?<=\[)[^\]]+(?=\])", lambda found: ", ".join(sorted(found[0].split(", "))), text)


def texts_of(value: object) -> str:
    """Return all texts of a JSON value as a reader sees them, without colours."""
    if isinstance(value, dict | list):
        return "\n".join(map(texts_of, value.values() if isinstance(value, dict) else value))
    return ANSI.sub("", value) if isinstance(value, str) else ""


def secrets_in(text: str) -> list[str]:
    """Return the beginnings of what must not be in a notebook, of which `text` is all texts."""
    return [found[0][:6] + "…" for found in SECRET.finditer(text)]


def differences(committed: str, executed: str) -> list[str]:
    """Return the lines of two stored notebooks that are not the same."""
    before, now = (RANGE.sub("<range>", normal(text)).splitlines() for text in (committed, executed))
    return list(difflib.unified_diff(before, now, "committed", "executed", n=1))
