"""Code that launched processes can load besides the project's: the interpreter, its library, the installed packages.

`registration/pin.py` has measured and pinned them at installation, for this machine.
"""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from authorities.attestation.local.installed import NEXT_STEP, PIN, leave_out
from authorities.attestation.verifier.measure import MeasuredFile, Stamp, format_paths
from authorities.attestation.verifier.target import SharedRoot
from zerotrust.registry.model import Digest


class EnvironmentPinError(Exception):
    """Nothing can be launched in this environment.  The text says why, and what to do."""


class Pin(BaseModel):
    """The measurement at installation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    python: str
    """The interpreter's path in the virtual environment; parties are run by this path."""
    bytecode: str
    folders: list[str]
    single: list[str]
    """Files that Python looks for outside of these folders; some of them should not exist."""
    digest: Digest
    """The digest over all files."""
    files: dict[str, tuple[int, int, int, Digest]]
    """By path: inode, size, ctime in nanoseconds, SHA-256."""


class Environment(SharedRoot):
    """The environment that all launched parties share, compared with its pin."""

    def __init__(self, pin: Pin) -> None:
        measured = {path: MeasuredFile(Stamp(*stamp), digest) for path, (*stamp, digest) in pin.files.items()}
        super().__init__(pin.folders, pin.single, measured, leave_out(pin.folders))
        self.python, self.bytecode, self.digest = pin.python, pin.bytecode, pin.digest

    @classmethod
    def load(cls, prefix: Path) -> Self:
        """Return the environment installed in `prefix`, as it was pinned; its files are not read yet.

        Raises `EnvironmentPinError`.
        """
        path = prefix / PIN
        try:
            pin = Pin.model_validate_json(path.read_bytes())
        except OSError as error:
            raise EnvironmentPinError(f"{path}: {error.strerror}: {NEXT_STEP}") from error
        except ValidationError as error:
            raise EnvironmentPinError(f"{path}: not the pin of an environment: {NEXT_STEP}") from error
        return cls(pin)


def unfit_message(environment: Environment) -> str:
    """Return the message for an environment that has changed: why nothing is launched in it, and what to do."""
    return f"the environment is not as installed: {format_paths(environment.changed)}.  Restore it, or: {NEXT_STEP}."
