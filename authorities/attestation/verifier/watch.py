"""Reports which files may have changed, at once and without reading them: inotify(7).

It is only a hint: it does not report writes through another hard link or a mapping.  To be sure, compare the files.
"""

import ctypes
import os
import struct
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple, Self

# <sys/inotify.h>
_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 2, 4, 8, 64, 128, 256, 512
_CHANGES = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_OVERFLOW, _IGNORED, _IS_FOLDER = 0x4000, 0x8000, 0x40000000
_ONLY_FOLDERS = 0x01000000
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class _Extent(NamedTuple):
    """The contents of a folder that is watched as a whole."""

    leave_out: Collection[str] = ()
    links: bool = True

    def leaves_out(self, path: str, name: str) -> bool:
        return name in self.leave_out or path in self.leave_out


class Watch:
    """Watched folders and single files.  `fileno` becomes readable when one of them has changed."""

    def __init__(self) -> None:
        """Open an inotify instance.  Raises `OSError` if this user has too many already."""
        self._paths: dict[int, str] = {}
        # In a folder that is not watched as a whole: the watched names, each with the paths it was requested by.
        self._names: dict[int, dict[str, set[str]]] = {}
        self._whole: dict[int, _Extent] = {}  # the folders watched as a whole
        self._folders: dict[str, _Extent] = {}  # as requested, to be watched again when they reappear
        self._fd = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise _error("inotify", "fs.inotify.max_user_instances")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        return self._fd

    def folder(self, path: str, *, leave_out: Collection[str] = (), links: bool = True) -> None:
        """Watch a folder with all its content, and whether it is moved or replaced.

        `leave_out` holds folders not to watch, by name or by their whole path; `links`: whether links to folders are
        followed.
        Raises `OSError` if there are more folders than the kernel watches for one user.
        """
        self._folders[path] = extent = _Extent(leave_out, links)
        self.file(path)
        self._below(path, extent)

    def file(self, path: str) -> None:
        """Watch one path, whether the file exists or not.  Raises `OSError`."""
        parent, _, name = path.rpartition("/")
        number = self._add(parent)
        if number is not None:
            self._names.setdefault(number, {}).setdefault(name, set()).add(path)

    def forget(self, path: str) -> None:
        """Stop watching what was requested as `path`, and a folder's content with it."""
        self._folders.pop(path, None)
        for number in [one for one, at in self._paths.items() if f"{at}/".startswith(f"{path}/")]:
            self._remove(number)
        parent, _, name = path.rpartition("/")
        for number in [one for one, at in self._paths.items() if at == parent and name in self._names.get(one, {})]:
            del self._names[number][name]
            if not self._names[number] and number not in self._whole:
                self._remove(number)

    def _remove(self, number: int) -> None:
        _libc.inotify_rm_watch(self._fd, number)  # fails if the kernel has removed it, with its folder
        for table in self._paths, self._names, self._whole:
            table.pop(number, None)

    def read(self) -> set[str] | None:
        """Return the files that may have changed since the last call; None means any may have.  Raises `OSError`."""
        found: set[str] = set()
        everything = False
        while events := self._events():
            position = 0
            while position < len(events):
                number, mask, _, length = _EVENT.unpack_from(events, position)
                position += _EVENT.size + length
                name = os.fsdecode(events[position - length : position].rstrip(b"\0"))
                everything |= self._note_event(number, mask, name, found)
        return None if everything else found

    def _note_event(self, number: int, mask: int, name: str, found: set[str]) -> bool:
        """Add the files of one event to `found`.  Return whether other files may have changed as well."""
        if mask & _OVERFLOW:
            return True
        if mask & _IGNORED:  # the folder was deleted, which its parent reports as well
            self._remove(number)
            return False
        path = f"{self._paths.get(number, '')}/{name}"
        extent, asked_for = self._whole.get(number), self._names.get(number, {}).get(name, set())
        if not asked_for and (extent is None or extent.leaves_out(path, name)):
            return False
        if mask & _IS_FOLDER:
            self._below(path, self._folders.get(path) or extent or _Extent())
            return True
        found |= {path, *asked_for}
        return False

    def _events(self) -> bytes:
        try:
            return os.read(self._fd, 65536)
        except BlockingIOError:
            return b""

    def _below(self, path: str, extent: _Extent) -> None:
        """Watch a folder and those in it, each by the first path that leads to it, because links can form cycles."""
        seen: dict[int, str] = {}
        waiting = [path]
        while waiting:
            path = waiting.pop()
            if (number := self._add(path)) is None:
                continue
            if (first := seen.setdefault(number, path)) != path:
                self._paths[number] = first
                continue
            self._whole[number] = extent
            with suppress(OSError), os.scandir(path) as entries:  # deleted again, which will be reported
                folders = [entry for entry in entries if entry.is_dir(follow_symlinks=extent.links)]
                waiting += [entry.path for entry in folders if not extent.leaves_out(entry.path, entry.name)]

    def _add(self, path: str) -> int | None:
        number = int(_libc.inotify_add_watch(self._fd, os.fsencode(path or "/"), _CHANGES | _ONLY_FOLDERS))
        if number >= 0:
            self._paths[number] = path
            return number
        if ctypes.get_errno() == 28:  # ENOSPC
            raise _error(path, "fs.inotify.max_user_watches")
        return None  # does not exist: its parent's watch, or a comparison, will show it


def _error(path: str, limit: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"cannot be watched ({os.strerror(number)}): is {limit} too low?", path)
