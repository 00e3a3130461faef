"""The folder of one system before."""

import shutil
from pathlib import Path


def emptied(folder: Path) -> Path:
    """Return a folder, absolute, empty and for this user alone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder.absolute()
