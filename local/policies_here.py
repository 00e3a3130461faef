"""Whether the policies in the folder that people edit are those in force: a start does not put them into force."""

from pathlib import Path

from authorities.policy.versions import Version, content_of
from zerotrust.registry.reading import RegistryError


def other_in_force(versions: Path, folder: Path) -> int | None:
    """Return the number of the version in force if the policies in `folder` are other ones, otherwise None.

    `versions`: the folder in which the policy authority keeps them.  What cannot be read says nothing.
    """
    try:
        newest = max(versions.glob("*.json"), default=None)
        active = Version.model_validate_json(newest.read_bytes()) if newest else None
        return active.number if active and content_of(folder) != active.content else None
    except (OSError, ValueError, RegistryError):
        return None
