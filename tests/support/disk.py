"""A disk that fails at one call, or on which the process ends there; and what is left of it after a power loss.

The calls that change files below a folder are counted.  What POSIX promises to survive a power loss is kept account of:
the content of a file at its last fsync, and the names in a folder at that folder's last fsync.  After an fsync of a
file that failed, another one that succeeds says nothing of what was written before, as on Linux.  (A folder's is
different: a file system whose own journal fails takes no further change.)
"""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

CALLS = ("open", "write", "fsync", "fdatasync", "ftruncate", "rename", "link", "unlink", "mkdir", "rmdir", "close")
NO_ROOM = ("open", "write", "fsync", "fdatasync", "rename", "link", "mkdir")
"""The calls that a full disk fails."""
FAULTS = ("EIO", "ENOSPC", "killed", "killed half-way")


class Killed(BaseException):
    """The process ends here: no code of it sees this."""


@dataclass
class Disk:
    """The files below a folder."""

    root: Path
    at: int = 0
    """The number of the call at which it happens; 0: never."""
    fault: str = ""
    calls: list[str] = field(default_factory=list)
    happened: str = ""
    dead: bool = False
    _open: dict[int, Path] = field(default_factory=dict)
    _had: dict[int, Path] = field(default_factory=dict)
    """What was ever open."""
    _content: dict[int, bytes] = field(default_factory=dict)
    _names: dict[int, dict[str, int]] = field(default_factory=dict)
    _lost: set[int] = field(default_factory=set)
    _numbers: dict[int, int] = field(default_factory=dict)
    """Of each inode, one that no later file gets."""

    def __post_init__(self) -> None:
        everything = [self.root, *self.root.rglob("*")]
        for path in everything:
            self._begin(path)
        for path in everything:
            self._synced(path)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have everybody in this process use it for a block."""
        originals = {name: getattr(os, name) for name in CALLS}

        def wrapped(name: str) -> Callable[..., Any]:
            original = originals[name]

            def call(*args: Any, **kwargs: Any) -> Any:
                return self._call(name, original, args, kwargs)

            return call

        patches = [patch.object(os, name, wrapped(name)) for name in CALLS]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()
            for fd in [*self._open]:  # as the kernel does when a process has ended
                os.close(fd)
            self._open.clear()

    def after_power_loss(self, root: Path) -> None:
        """Write what is left of it to a new folder."""
        root.mkdir()
        self._restore(self._number(self.root), root, {})

    def _restore(self, folder: int, to: Path, written: dict[int, Path]) -> None:
        for name, number in self._names[folder].items():
            if number in self._names:
                (to / name).mkdir()
                self._restore(number, to / name, written)
            elif number in written:
                (to / name).hardlink_to(written[number])
            else:
                written[number] = to / name
                (to / name).write_bytes(self._content[number])
                (to / name).chmod(0o600)

    def _begin(self, path: Path) -> None:
        """Give a new file or folder its number; nothing in it is durable."""
        number = self._numbers[path.stat().st_ino] = len(self._names) + len(self._content)
        if path.is_dir():
            self._names[number] = {}
        else:
            self._content[number] = b""

    def _number(self, path: Path) -> int:
        return self._numbers[path.stat().st_ino]

    def _call(self, name: str, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        paths = self._paths(name, args)
        if not paths:
            return original(*args, **kwargs)
        if self.dead:
            raise Killed
        self.calls.append(name)
        hit = len(self.calls) == self.at
        if hit:
            self.happened = f"{self.fault} at {name} {paths[-1].name}"
            if self.fault in {"EIO", "ENOSPC"}:
                return self._failed(name, original, args)
            if self.fault == "killed half-way" and name == "write":
                original(args[0], bytes(args[1])[: len(args[1]) // 2])
                self.dead = True
                raise Killed
        if name in {"fsync", "fdatasync"}:
            self._synced(paths[0])
            result = None
        else:
            made = name in {"open", "mkdir"} and not paths[0].exists()
            result = original(*args, **kwargs)
            self._changed(name, paths, result, args, made=made)
        if hit:
            self.dead = True
            raise Killed
        return result

    def _paths(self, name: str, args: tuple[Any, ...]) -> list[Path]:
        if name in {"write", "fsync", "fdatasync", "ftruncate", "close"}:
            known = self._had if self.dead else self._open
            return [known[args[0]]] if args[0] in known else []
        paths = [Path(os.fspath(one)) for one in args[: 2 if name in {"rename", "link"} else 1]]
        return paths if all(one.is_relative_to(self.root) for one in paths) else []

    def _failed(self, name: str, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if self.fault == "ENOSPC" and name == "write":  # what there is room for is written
            return original(args[0], bytes(args[1])[: len(args[1]) // 2])
        if name in {"fsync", "fdatasync"} and not self._open[args[0]].is_dir():
            self._lost.add(self._number(self._open[args[0]]))
        if name == "close":  # the descriptor is gone all the same
            self._open.pop(args[0])
            original(args[0])
        raise OSError(getattr(errno, self.fault), self.fault)

    def _synced(self, path: Path) -> None:
        if (number := self._number(path)) in self._lost:
            return
        if path.is_dir():
            self._names[number] = {one.name: self._numbers[one.inode()] for one in os.scandir(path)}
        else:
            self._content[number] = path.read_bytes()

    def _changed(self, name: str, paths: list[Path], result: Any, args: tuple[Any, ...], *, made: bool) -> None:
        if made:
            self._begin(paths[0])
        if name == "open":
            self._open[result] = self._had[result] = paths[0]
        elif name == "close":
            self._open.pop(args[0])
        elif name == "rename":
            self._open = {fd: paths[1] if path == paths[0] else path for fd, path in self._open.items()}
        elif name in {"write", "ftruncate"}:
            self._lost.discard(self._number(paths[0]))


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """No file of this process grows beyond that size for a block: the kernel refuses, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
