"""The project's files, in memory: edited as text, so that comments stay, and written once all of them are valid."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from zerotrust.authority.files.lock import REGISTRY
from zerotrust.authority.files.snapshot_files import load_registry, parse_registry
from zerotrust.errors import ZeroTrustError
from zerotrust.registry.model import Registry


class PartyError(ZeroTrustError):
    """The party cannot be added.  The text says why, and nothing was written."""


@dataclass
class Project:
    """The files to write, in memory, and what was done to each."""

    root: Path
    registry: Registry
    """As it was read, before any change."""
    texts: dict[str, str] = field(default_factory=dict)
    done: dict[str, list[str]] = field(default_factory=dict)
    """The additions (`+`), by file."""
    by_hand: list[str] = field(default_factory=list)
    """The remaining steps for the person who runs this."""

    def text(self, name: str) -> str:
        """Return a file's text, as changed so far."""
        return self.texts.get(name) or (self.root / name).read_text()

    def create(self, name: str, text: str) -> None:
        self.texts[name] = text
        self.done[name] = ["+ new"]

    def edit(self, name: str, pattern: str, new: str | Callable[[re.Match[str]], str], what: str) -> None:
        """Replace the first match of `pattern`.  `what` describes it.

        Raises `PartyError` if there is no match.
        """
        text, found = re.subn(pattern, new, self.text(name), count=1, flags=re.MULTILINE)
        if not found:
            raise PartyError(f"{name} is not in the form that this command can edit.  Do this there by hand: {what}")
        self.texts[name] = text
        self.done.setdefault(name, []).append(what)

    def extend(self, block: str, key: str, entry: str) -> None:
        """Add an entry to the list `key: [...]` of a block in the registry.  Raises `PartyError`."""
        head = rf"^(  {re.escape(block)}:(?:[^\n]*\n(?=    ))*?[^\n]*\b{key}: \[)([^\]\n]*)\]"

        def longer(found: re.Match[str]) -> str:
            return f"{found[1]}{', '.join(filter(None, (found[2], entry)))}]"

        self.edit(REGISTRY, head, longer, f"+ {entry} in {key} of {block}")

    @classmethod
    def at(cls, root: Path) -> "Project":
        """Return the project in a folder.  Raises `RegistryError`."""
        return cls(root, load_registry(root / REGISTRY))

    def write(self) -> None:
        """Check that what was edited can be read, and that no link leads elsewhere, then write all of it.

        Raises `RegistryError` and `PartyError`.
        """
        parse_registry(self.text(REGISTRY).encode(), self.root / REGISTRY)
        for name in self.texts:  # before anything is written
            path = self.root / name
            inside = [one for one in (path, *path.parents) if one.is_relative_to(self.root) and one != self.root]
            if links := [one for one in inside if one.is_symlink()]:
                raise PartyError(f"{links[-1].relative_to(self.root)} is a link: replace it by what it leads to.")
        for name, text in self.texts.items():
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text(text)
