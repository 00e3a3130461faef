"""What docs/how-to/clients.md says to type."""

from typing import Any

from tests.support.system import ROOT

PAGE = (ROOT / "docs" / "how-to" / "clients.md").read_text()


def block(language: str) -> str:
    """The block in that language."""
    return PAGE.partition(f"```{language}\n")[2].partition("```")[0]


def typed() -> dict[str, Any]:
    """The names of the block in Python, with a key of its own each time."""
    exec(block("python"), names := dict[str, Any]())  # noqa: S102 - what the page says
    return names
