"""Starts a kernel in `.notebooks`, which finds the project's packages by name, as `scripts/run` does."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

RUN = Path(__file__).resolve().parents[2] / "scripts" / "run.py"


def main() -> None:
    """Run a kernel; the arguments are those that Jupyter gives."""
    spec = spec_from_file_location("scripts_run", RUN)
    assert spec  # noqa: S101 - a file with such a name has one, and a loader
    assert spec.loader  # noqa: S101
    spec.loader.exec_module(run := module_from_spec(spec))
    sys.meta_path.append(run.Project)
    from ipykernel.kernelapp import launch_new_instance  # noqa: PLC0415 - only .notebooks has it

    # No folder is on the module path: what lies beside a notebook runs in place of no package.
    launch_new_instance(argv=[*sys.argv[1:], "--InteractiveShellApp.ignore_cwd=True", "--HistoryManager.enabled=False"])


if __name__ == "__main__":
    main()
