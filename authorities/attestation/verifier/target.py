"""What a running party can load, and what was approved of it.

Whoever starts parties makes their targets: the launcher of this machine, or what looks at containers.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from authorities.attestation.verifier.measure import Files, MeasureError, RegistrySnapshot, Stamp, stamps
from authorities.attestation.verifier.watch import Watch
from zerotrust.registry.lock import FILES, changed


class Root(Protocol):
    """Files that are quick to look at, so they are looked at whenever it is asked how they are."""

    def watch(self, watch: Watch) -> None:
        """Have changes of these files reported.  Raises `OSError` where the kernel watches no more files."""

    def differences(self) -> list[str]:
        """Look at all files; return the paths that are not as approved.  Raises `MeasureError`."""


class Code:
    """Folders, each file of which has an approved SHA-256: `approved` has them in hex, by path."""

    def __init__(self, files: Files, folders: Sequence[str], approved: Mapping[str, str]) -> None:
        self._files, self._folders, self._approved = files, folders, approved

    def watch(self, watch: Watch) -> None:
        for folder in self._folders:
            watch.folder(f"{self._files.root}/{folder}", leave_out=self._files.leave_out)

    def differences(self) -> list[str]:
        return changed(self._approved, self._files.look(self._folders))


class Copy:
    """A folder that was made for one party, where nothing is touched afterwards: `made` is how its files lay there."""

    def __init__(self, path: Path, made: Mapping[str, Stamp]) -> None:
        self._path, self._made = path, made

    def watch(self, watch: Watch) -> None:
        watch.folder(str(self._path))

    def differences(self) -> list[str]:
        return changed(self._made, stamps(self._path))


class RegistryFiles:
    """What the registry has read; a part of its code, for what it says is what these files say."""

    def __init__(self, root: Path) -> None:
        """Approve what lies in the project's folder now.  Raises `MeasureError`."""
        self._files = Files(root, leave_out=())
        self._approved = self._files.look((), FILES)

    def watch(self, watch: Watch) -> None:
        for name in FILES:
            watch.file(f"{self._files.root}/{name}")

    def differences(self) -> list[str]:
        return changed(self._approved, self._files.look((), FILES))

    def reloaded(self, read_from: Mapping[str, str]) -> bool:
        """Whether the registry has read other files since, and those that lie here now.

        `read_from`: SHA-256 by name, as the registry reports it.  Raises `MeasureError`.
        """
        return read_from != self._approved and read_from == self._files.look((), FILES)

    def use(self, read_from: Mapping[str, str]) -> None:
        """Approve these files from now on."""
        self._approved = dict(read_from)


class SharedRoot:
    """Files that many parties load, too many to look at on every question.

    `changed` has what the last look found.
    """

    def __init__(
        self,
        folders: Sequence[str],
        single: Sequence[str],
        approved: Mapping[str, RegistrySnapshot],
        leave_out: Collection[str],
    ) -> None:
        """All paths are absolute.  `single`: files outside of the folders, which need not exist."""
        self.changed: list[str] = []
        self._folders, self._single = folders, single
        self._approved = {path: known.digest for path, known in approved.items()}
        self._files = Files(Path("/"), leave_out=leave_out, links=True, known=approved)
        self._whole = True

    def watch(self, watch: Watch) -> None:
        """As `Root.watch`."""
        for folder in self._folders:
            watch.folder(folder, leave_out=self._files.leave_out)
        for file in self._single:
            watch.file(file)

    def look(self) -> None:
        """Compare all files with what was approved."""
        try:
            found = self._files.look(self._folders, self._single)
            self.changed, self._whole = changed(self._approved, found), True
        except MeasureError as error:
            self.changed, self._whole = [str(error)], False

    def look_at(self, paths: Iterable[str]) -> None:
        """Compare these files alone."""
        if not self._whole:
            return self.look()
        wrong = set(self.changed)
        for path in paths:
            try:
                right = self._files.look_at(path) == self._approved.get(path)
            except MeasureError:
                return self.look()
            (wrong.discard if right else wrong.add)(path)
        self.changed = sorted(wrong)
        return None

    def approves(self, path: str, digest: str) -> bool:
        """Whether the file at `path` was approved with this SHA-256."""
        return self._approved.get(path) == digest

    def holds(self, path: str) -> bool:
        """Whether this is one of its files, or would be one."""
        return path in self._single or path.startswith(tuple(f"{folder}/" for folder in self._folders))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """One running party."""

    party: str
    """Its name in the registry."""
    party_id: str
    """Its SPIFFE ID."""
    own: tuple[Root, ...]
    shared: tuple[SharedRoot, ...]
