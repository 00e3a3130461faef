"""What Keycloak needs on this machine: its distribution, and a Java that can run it."""

from dataclasses import dataclass
from pathlib import Path

from local.java import find_java
from local.keycloak_distribution import find_distribution
from local.progress import Say


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is needed to run Keycloak."""

    java: Path
    """The executable."""
    distribution: Path
    """The unpacked folder, as released.  Shared, and never written to."""


def find_runtime(say: Say) -> Runtime:
    """Return a fitting Java and Keycloak, fetched if need be.  Raises `KeycloakError`."""
    return Runtime(java=find_java(say), distribution=find_distribution(say))
