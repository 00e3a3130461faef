"""Names the one cause why the system does not start, or does not work, and the command that repairs it.

    python3 -I scripts/doctor.py [containers|local]

`containers` is `docker compose up`, `local` is `make demo` and `make up`; without either it looks at what is in use.
It needs Python alone, because nothing may be set up yet.  It changes nothing.  Exit status 0: nothing is wrong.
"""

import sys
from types import ModuleType


def main() -> int:
    """Check, print, and return the exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts this may have an older one
        version = ".".join(str(part) for part in sys.version_info[:3])
        print("Cause:  Python 3.11 or newer is needed, and this is " + version)
        print("Repair: make doctor PYTHON=python3.12   (`docker compose up` needs none)")
        return 1
    sys.dont_write_bytecode = True  # a file more would be no release any more
    # No folder of the project is on the module path, as in `run.py`; the first import finds `scripts` here.
    scripts = ModuleType("scripts")
    scripts.__path__ = [__file__.rpartition("/")[0] or "."]
    sys.modules.setdefault("scripts", scripts)
    from scripts.diagnosis.program import run  # noqa: PLC0415 - not before Python's version is known

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
