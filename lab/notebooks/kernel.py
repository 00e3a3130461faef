"""Starts a kernel in `.notebooks`, which finds the project's packages by name, as `scripts/run` does."""

import logging
import os
import sys
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]


class FromSource(SourceFileLoader):
    """Reads no bytecode: a `__pycache__/x.pyc` planted beside a source would run in its place.

    That of the packages in `.notebooks` is read: without it, a kernel needs four times as long to start.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Return a module's code."""
        file = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(file), file)
        return code


def find_the_project() -> None:
    """Have the project's packages found, each module from its source."""
    loader = FromSource("scripts_run", f"{ROOT}/scripts/run.py")
    spec = spec_from_file_location(loader.name, loader.path, loader=loader)
    assert spec  # noqa: S101 - a loader is given
    loader.exec_module(run := module_from_spec(spec))
    folders = tuple(f"{ROOT}/{name}/" for name in run.PACKAGES)

    def modules(folder: str) -> FileFinder:
        if not f"{folder}/".startswith(folders):
            raise ImportError
        return FileFinder(folder, (FromSource, [".py"]))

    def package(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        spec: ModuleSpec | None = run.Project.find_spec(name, path, target)
        if spec and spec.origin:
            spec.loader = FromSource(name, spec.origin)
        return spec

    sys.path_hooks.insert(0, modules)
    sys.meta_path.append(SimpleNamespace(find_spec=package))


def main() -> None:
    """Run a kernel; the arguments are those that Jupyter gives."""
    find_the_project()
    from local.child import end_with  # noqa: PLC0415 - it can be found only now

    end_with(int(os.environ["JPY_PARENT_PID"]))
    from ipykernel.iostream import IOPubThread  # noqa: PLC0415 - only .notebooks has it
    from ipykernel.kernelapp import launch_new_instance  # noqa: PLC0415

    # Otherwise it listens on a port for what forks of it print, which nothing here does.
    IOPubThread._setup_pipe_in = lambda thread: setattr(thread, "_pipe_flag", False)
    # asyncio warns of a child that somebody else has waited for already: by chance, and of no interest to a reader.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    # No folder is on the module path: what lies beside a notebook runs in place of no package.
    launch_new_instance(argv=[*sys.argv[1:], "--InteractiveShellApp.ignore_cwd=True", "--HistoryManager.enabled=False"])


if __name__ == "__main__":
    main()
