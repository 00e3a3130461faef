"""Where our system and the reader's copy of it are, and what a kernel says to have the copy run."""

from pathlib import Path
from typing import NamedTuple

from lab.notebooks.attach import NAME
from local.program import ROOT


class Place(NamedTuple):
    """Where a system is: the folder of its project, and in there that of its run."""

    tree: Path
    run: str

    @property
    def folder(self) -> Path:
        """The folder of its run."""
        return self.tree / self.run

    @property
    def file(self) -> Path:
        """By which a kernel finds the system, if it runs."""
        return self.folder / NAME


OURS = Place(ROOT, "run/notebooks")
COPY = Place(OURS.folder / "own", "run")
"""Its run's folder is the usual one, so `make new-agent` refuses there while its system runs."""
REQUEST = b"start\n"
"""What a kernel sends: each time, the copy is started anew."""
TAKEN = (
    "The copy runs already, or is just ending. Run the last cell of the notebook that runs it, or end its kernel. "
    "Then run this cell again."
)
