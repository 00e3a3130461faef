"""The first version of the policies: from the folder that the system was set up with, tested as any later one."""

from authorities.policy import fit
from authorities.policy.office import told
from authorities.policy.versions import Versions, VersionsError
from zerotrust.registry.model import Registry


def begin(versions: Versions, registry: Registry) -> None:
    """Keep the first version, unless there are versions already.  Blocks.

    Raises `VersionsError` if it may not be published: then nothing is kept, so that the next start reads it anew.
    """
    if versions.begun:
        return
    if problems := fit.problems(versions.active.content, registry):
        first, further = told(problems)
        listed = "".join(f"\n- {one}" for one in first) + (f"\nand {further} more." if further else "")
        raise VersionsError(
            f"policies/ may not be published as the first version, so nothing is in force:{listed}\nCorrect them until "
            "`make check` finds nothing, then start again; in containers, build the images anew."
        )
    versions.begin()
