"""Runs one module of this project: `start/run start up` does what `python -m start up` would do, but more safely.

`python -m` puts the working folder first on the module path, so that a file `typer.py` planted there would run in place
of the package.  Here no folder of the project is on the path.

- `-I`: no working folder, no `PYTHON*` variables, no packages of the user.
- `-B` and `-X pycache_prefix`: a `__pycache__/x.pyc` planted beside a source would run in place of that source.  So no
  such folder is read or written; the packages' bytecode comes from `.venv/bytecode`, which is measured.
- `-S`, and no bytecode at first: the installed files, including `.pth` files, are compared with their pin
  (`.venv/environment.json`) before any of them runs.
- The project's packages are found by name only.  `Project` is the last finder, so it can shadow no other module, and it
  finds only the names in `PACKAGES`.  So `brotli.py` in the project's root is not found either if a library imports an
  optional package that is not installed.
- A module that makes keys or asks for a password (`HOLD_SECRETS`) runs in a process that is closed to others of the
  same user, and everything above is checked there.  Until then another process can open this one's memory, so this
  time is kept short: this file imports the rest of the standard library only where it is used.
"""

import os
import sys
from importlib.machinery import ModuleSpec

ROOT = __file__.removesuffix("/start/run.py")
PACKAGES = frozenset(
    {"zerotrust", "orchestrator", "agents", "console", "tools", "inference", "authorities"}
    | {"authzen", "evidence", "zt", "registration", "start", "demo", "lab", "testkit", "tests"}
)

HOLD_SECRETS = ("zt", "start", "demo", "lab")
"""Modules, and packages with all their modules, whose process holds keys, or an operator's password and token."""

NOWHERE = "/dev/null"
MAKES_THE_PIN = "registration.pin"


class Project:
    """Finds the project's own top-level packages; an entry of `sys.meta_path`."""

    @staticmethod
    def find_spec(name: str, path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return the spec of one of `PACKAGES`.  Only its folder counts: `agents.py` would not be found."""
        if path is not None or name not in PACKAGES:  # control: own-packages-only
            return None
        folder = f"{ROOT}/{name}"
        init = f"{folder}/__init__.py"
        if os.path.exists(init):
            from importlib.util import spec_from_file_location

            return spec_from_file_location(name, init, submodule_search_locations=[folder])
        namespace = ModuleSpec(name, None, is_package=True)
        namespace.submodule_search_locations = [folder]
        return namespace


def holds_secrets(module: str) -> bool:
    """Return whether the process that runs this module has to be closed first."""
    return any(f"{module}.".startswith(f"{name}.") for name in HOLD_SECRETS)


def check_installed(prefix: str | os.PathLike[str]) -> None:
    """Exit with a message unless the environment in `prefix` is as it was pinned.  None of it has run yet."""
    from pathlib import Path

    from authorities.attestation.local.installed import NEXT_STEP
    from authorities.attestation.verifier.measure import MeasureError, format_paths
    from start.installed import changed_files

    try:
        wrong = changed_files(Path(prefix))
    except (OSError, ValueError, LookupError, TypeError, MeasureError) as error:
        sys.exit(f"The environment in {prefix} cannot be compared with its pin ({error}): {NEXT_STEP}.")
    if wrong:
        sys.exit(f"The environment is not as installed: {format_paths(wrong)}.  Restore it, or: {NEXT_STEP}.")


def exists(module: str) -> bool:
    """Return whether a module exists.  An error in a package that it is in is raised unchanged."""
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError as error:  # of the package that it would be in, or of a module that this imports
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        return False


def is_bare_package(module: str) -> bool:
    """Return whether a module that exists is a package without a `__main__`, which cannot be run."""
    from importlib.util import find_spec

    spec = find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None and not exists(f"{module}.__main__")


def main() -> None:
    """Run the module that the first argument names, with the rest as its arguments."""
    flags = sys.flags
    kept_out = flags.isolated and flags.no_site and flags.dont_write_bytecode and sys.pycache_prefix == NOWHERE
    if not kept_out or sys.executable != f"{ROOT}/.venv/bin/python":
        sys.exit("Start it by start/run, which sets the options that keep planted code out.")
    if len(sys.argv) < 2:
        sys.exit("usage: start/run MODULE [ARGUMENT ...]")
    sys.meta_path.append(Project)
    del sys.argv[0]
    if holds_secrets(sys.argv[0]):
        from authorities.attestation.process.closed import close_process

        # control: process-closed-before-checks
        close_process()  # before anything that takes time; the rest runs in the closed process
    if sys.argv[0] != MAKES_THE_PIN:
        check_installed(f"{ROOT}/.venv")
        sys.pycache_prefix = f"{ROOT}/.venv/bytecode"
    import runpy
    import site

    site.main()  # from here on, installed packages are found
    if not exists(sys.argv[0]):
        print(f"There is no module {sys.argv[0]}.", file=sys.stderr)
        sys.exit(2)
    if is_bare_package(sys.argv[0]):
        print(f"{sys.argv[0]} is a package without a __main__: name a module in it.", file=sys.stderr)
        sys.exit(2)
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
