"""How the tests are shared out among the workers of pytest-xdist."""

from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]


class OneRealSystem(LoadScopeScheduling):  # type: ignore[misc]
    """Each test goes to whoever is free; all that need the real system, to one worker, which begins with them.

    A file says by the mark `e2e` that it does.  (`--dist loadgroup` would do, but xdist 3.8 does not know how pytest 9
    names its tests.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return "real" if _needs_it(nodeid.partition("::")[0]) else nodeid


@cache
def _needs_it(file: str) -> bool:
    return "mark.e2e" in Path(file).read_text()
