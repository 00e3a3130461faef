"""Which files may have changed? The kernel's answer, at once and without looking: inotify(7).

It is a hint and no more: it says nothing of writes through another hard link or a mapping.  Whoever needs to be sure
looks at the files themselves.
"""

import ctypes
import os
import struct
from collections.abc import Collection
from typing import Self

# <sys/inotify.h>
_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 2, 4, 8, 64, 128, 256, 512
_CHANGES = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_OVERFLOW, _IGNORED, _IS_FOLDER = 0x4000, 0x8000, 0x40000000
_ONLY_FOLDERS = 0x01000000
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Folders, and single files, that are watched. `fileno` becomes readable when something happened to them."""

    def __init__(self) -> None:
        """Raises `OSError` where this user has too many already."""
        self._paths: dict[int, str] = {}
        # What is of interest in a folder that is not watched as a whole: names, and by which paths they were asked for.
        self._names: dict[int, dict[str, set[str]]] = {}
        self._whole: dict[int, Collection[str]] = {}  # the others, and what is not of interest in them
        self._folders: dict[str, Collection[str]] = {}  # as asked for, to be found again when they come back
        self._fd = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise _error("inotify", "fs.inotify.max_user_instances")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        """For the event loop."""
        return self._fd

    def folder(self, path: str, *, leave_out: Collection[str] = ()) -> None:
        """Watch a folder with all that is in it, and that it stays where it is.

        `leave_out` holds folders not to watch, by name or by their whole path.
        Raises `OSError` where there are more folders than the kernel watches for one user.
        """
        self._folders[path] = leave_out
        self.file(path)
        self._below(path, leave_out)

    def file(self, path: str) -> None:
        """Watch one name, whether there is such a file or not.  Raises `OSError`."""
        parent, _, name = path.rpartition("/")
        number = self._add(parent)
        if number is not None:
            self._names.setdefault(number, {}).setdefault(name, set()).add(path)

    def read(self) -> set[str] | None:
        """Return the files that may have changed since the last time; None means any may have.  Raises `OSError`."""
        found: set[str] = set()
        everything = False
        while events := self._events():
            position = 0
            while position < len(events):
                number, mask, _, length = _EVENT.unpack_from(events, position)
                position += _EVENT.size + length
                name = os.fsdecode(events[position - length : position].rstrip(b"\0"))
                everything |= self._seen(number, mask, name, found)
        return None if everything else found

    def _seen(self, number: int, mask: int, name: str, found: set[str]) -> bool:
        """Note one event; return whether more than the one file may have changed."""
        if mask & _OVERFLOW:
            return True
        if mask & _IGNORED:  # the folder is gone, which its parent tells as well
            for table in self._paths, self._names, self._whole:
                table.pop(number, None)
            return False
        path = f"{self._paths.get(number, '')}/{name}"
        leave_out, asked_for = self._whole.get(number), self._names.get(number, {}).get(name, set())
        if not asked_for and (leave_out is None or _left_out(path, name, leave_out)):
            return False
        if mask & _IS_FOLDER:
            self._below(path, self._folders.get(path, leave_out or ()))
            return True
        found |= {path, *asked_for}
        return False

    def _events(self) -> bytes:
        try:
            return os.read(self._fd, 65536)
        except BlockingIOError:
            return b""

    def _below(self, path: str, leave_out: Collection[str], seen: dict[int, str] | None = None) -> None:
        """Watch a folder and those in it, each by the first way that leads there: links can go in circles."""
        seen = {} if seen is None else seen
        number = self._add(path)
        if number is None:
            return
        if (first := seen.setdefault(number, path)) != path:
            self._paths[number] = first
            return
        self._whole[number] = leave_out
        try:
            with os.scandir(path) as entries:
                folders = [entry for entry in entries if entry.is_dir()]
        except OSError:
            return  # gone again, which we shall be told
        for entry in folders:
            if not _left_out(entry.path, entry.name, leave_out):
                self._below(entry.path, leave_out, seen)

    def _add(self, path: str) -> int | None:
        number = int(_libc.inotify_add_watch(self._fd, os.fsencode(path or "/"), _CHANGES | _ONLY_FOLDERS))
        if number >= 0:
            self._paths[number] = path
            return number
        if ctypes.get_errno() == 28:  # ENOSPC
            raise _error(path, "fs.inotify.max_user_watches")
        return None  # not there: its parent, or whoever looks, will tell


def _left_out(path: str, name: str, leave_out: Collection[str]) -> bool:
    return name in leave_out or path in leave_out


def _error(path: str, limit: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"cannot be watched ({os.strerror(number)}): is {limit} too low?", path)
