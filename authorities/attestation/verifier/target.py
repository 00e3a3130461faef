"""The files that a running party can load, and their approved digests.

The program that starts parties makes their targets: the launcher of one machine, or a container scanner.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from authorities.attestation.verifier.measure import Files, MeasuredFile, MeasureError, NotMeasuredError, Stamp, stamps
from authorities.attestation.verifier.watch import Watch
from zerotrust.authority.files.lock import FILES, changes


class SmallRoot(Protocol):
    """Files that are quick to compare, so each check compares all of them."""

    def watch(self, watch: Watch) -> None:
        """Watch these files for changes.  Raises `OSError` if the kernel watches no more files."""

    def differences(self) -> list[str]:
        """Compare all files.  Return the paths of those that are not as approved.  Raises `MeasureError`."""


class LargeRoot(Protocol):
    """Files that are too many to compare at each check: `changed` has the differences that the last look found."""

    @property
    def changed(self) -> list[str]:
        """The paths of the files that are not as approved, or why they cannot be compared."""

    @property
    def unknown(self) -> str:
        """Why the last look could not tell whether they are as approved; "" if it could."""

    def watch(self, watch: Watch) -> None:
        """Watch these files for changes.  Raises `OSError` if the kernel watches no more files."""

    def unwatch(self, watch: Watch) -> None:
        """Stop watching these files."""

    def look(self) -> None:
        """Compare all files with the approved digests.  Blocks for a tenth of a second or more."""

    def look_at(self, paths: Iterable[str]) -> None:
        """Compare only these files with the approved digests."""

    def holds(self, path: str) -> bool:
        """Return whether this path belongs to these files, even if no such file exists."""


class Code:
    """A folder, and single files outside of it, with approved digests: `approved` has the SHA-256 in hex, by path."""

    def __init__(self, files: Files, folder: str, approved: Mapping[str, str]) -> None:
        self._files, self._folder, self._approved = files, folder, approved
        self._single = [path for path in approved if not path.startswith(f"{folder}/")]

    def watch(self, watch: Watch) -> None:
        watch.folder(f"{self._files.root}/{self._folder}", leave_out=self._files.leave_out)
        for path in self._single:
            watch.file(f"{self._files.root}/{path}")

    def differences(self) -> list[str]:
        return changes(self._approved, self._files.look([self._folder], self._single))


class Copy:
    """A folder that was made for one party and never changes: `made` has the stamps of its files at that time."""

    def __init__(self, path: Path, made: Mapping[str, Stamp]) -> None:
        self._path, self._made = path, made

    def watch(self, watch: Watch) -> None:
        watch.folder(str(self._path))

    def differences(self) -> list[str]:
        return changes(self._made, stamps(self._path))


class RegistryFiles:
    """The files that the registry has read.  They count as its code, because they determine what it publishes."""

    def __init__(self, root: Path) -> None:
        """Approve the files that are in the project's folder now.  Raises `MeasureError`."""
        self._files = Files(root, leave_out=())
        self._approved = self._files.look((), FILES)

    def watch(self, watch: Watch) -> None:
        for name in FILES:
            watch.file(f"{self._files.root}/{name}")

    def differences(self) -> list[str]:
        return changes(self._approved, self._files.look((), FILES))

    def was_reloaded(self, read_from: Mapping[str, str]) -> bool:
        """Return whether the registry has since read new files, and these are the files that are here now.

        `read_from`: SHA-256 by name, as the registry reports it.  Raises `MeasureError`.
        """
        return read_from != self._approved and read_from == self._files.look((), FILES)

    def use(self, read_from: Mapping[str, str]) -> None:
        self._approved = dict(read_from)


class SharedRoot:
    """Files that many parties load."""

    def __init__(
        self,
        folders: Sequence[str],
        single: Sequence[str],
        approved: Mapping[str, MeasuredFile],
        leave_out: Collection[str],
    ) -> None:
        """Take absolute paths.  `single`: files outside of the folders, which need not exist."""
        self.changed: list[str] = []
        self.unknown = ""
        self._folders, self._single = folders, single
        self._approved = {path: file.digest for path, file in approved.items()}
        self._files = Files(Path("/"), leave_out=leave_out, links=True, measured=approved)
        self._whole = True

    def watch(self, watch: Watch) -> None:
        for folder in self._folders:
            watch.folder(folder, leave_out=self._files.leave_out)
        for file in self._single:
            watch.file(file)

    def unwatch(self, watch: Watch) -> None:
        for path in (*self._folders, *self._single):
            watch.forget(path)

    def look(self) -> None:
        try:
            found = self._files.look(self._folders, self._single)
            self.changed, self._whole, self.unknown = changes(self._approved, found), True, ""
        except NotMeasuredError as error:
            self._whole, self.unknown = False, str(error)
        except MeasureError as error:
            self.changed, self._whole, self.unknown = [str(error)], False, ""

    def look_at(self, paths: Iterable[str]) -> None:
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
        """Return whether the file at `path` was approved with this SHA-256."""
        return self._approved.get(path) == digest

    def holds(self, path: str) -> bool:
        return path in self._single or path.startswith(tuple(f"{folder}/" for folder in self._folders))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """One running party."""

    party: str
    """Its name in the registry."""
    party_id: str
    """Its SPIFFE ID."""
    pid: int
    small: tuple[SmallRoot, ...] = ()
    large: tuple[LargeRoot, ...] = ()
