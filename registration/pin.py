"""At installation: measures and pins what launched processes can load besides the project's code.

`make` runs `start/run registration.pin` after it has installed the packages.  From then on a difference from the pin is
drift, like a change of the project's code.

Bytecode: any program of this environment may write to the `__pycache__` folders beside the sources.  So launched
processes do not read those, but one folder with a copy made at installation (`-X pycache_prefix`), which is measured
like everything else.  Without bytecode a service needs three times as long to load its libraries.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from authorities.attestation.local.environment import Pin
from authorities.attestation.local.installed import PIN, leave_out
from authorities.attestation.verifier.measure import Files, MeasureError, Stamp, digest_of

NOT_LOADED = ("__pycache__", "site-packages", "test", "tests", "idlelib", "lib2to3")
"""Folders whose bytecode is not needed."""


def install() -> Pin:
    """Copy the bytecode, measure everything that this interpreter can load, and write the pin to its prefix.

    Raises `MeasureError` or `OSError`.
    """
    prefix, bytecode = Path(sys.prefix), Path(sys.prefix, "bytecode")
    library, packages = _folders()
    shutil.rmtree(bytecode, ignore_errors=True)
    for folder in library, packages:
        _copy_bytecode(folder, bytecode)
    folders, single = [str(library), str(packages), str(bytecode)], _single_files(prefix)
    files = Files(Path("/"), leave_out=leave_out(folders), links=True)
    table = files.look(folders, single)
    pin = Pin(
        python=str(prefix / "bin/python"),
        bytecode=str(bytecode),
        folders=folders,
        single=single,
        digest=digest_of(table),
        files={name: (*(file.stamp or Stamp(0, 0, 0)), file.digest) for name, file in files.measured.items()},
    )
    (prefix / PIN).write_text(pin.model_dump_json())
    return pin


def _folders() -> tuple[Path, Path]:
    library, packages = (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib"))
    return library, packages


def _single_files(prefix: Path) -> list[str]:
    """Return the interpreter, and the files by which it finds its library (CPython's `Modules/getpath.py`)."""
    home = Path(sys._base_executable).parent  # type: ignore[attr-defined]
    base, version = Path(sys.base_prefix), f"{sys.version_info.major}{sys.version_info.minor}"
    run = [*_links(prefix / "bin/python")]
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        run += [Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))]
    found = [*run, *(path.with_name(f"{path.name}._pth") for path in run)]  # would set the path, even with `-I`
    found += [prefix / "pyvenv.cfg", prefix / "bin/pyvenv.cfg", base / sys.platlibdir / f"python{version}.zip"]
    found += [home / name for name in ("pyvenv.cfg", "pybuilddir.txt", "Modules", sys.platlibdir)]
    return [str(path) for path in found]


def _links(path: Path) -> Iterator[Path]:
    """Yield each symbolic link on the way from a path, and the file at its end."""
    while path.is_symlink():
        yield path
        target = path.parent / path.readlink()
        path = target.parent.resolve() / target.name
    yield path


def _copy_bytecode(folder: Path, bytecode: Path) -> None:
    """Copy the bytecode beside the sources, and compile the sources that have none."""
    missing = []
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in NOT_LOADED]
        target = bytecode / Path(path).relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        for module in (name.removesuffix(".py") for name in names if name.endswith(".py")):
            compiled = f"{module}.{sys.implementation.cache_tag}.pyc"
            try:
                shutil.copyfile(Path(path, "__pycache__", compiled), target / compiled)
            except FileNotFoundError:
                missing.append(str(Path(path, f"{module}.py")))
    if missing:  # without any, it would compile everything on the path
        command = [sys.executable, "-m", "compileall", "-qq", "-j", "0", "-i", "-"]
        env = {"PYTHONPYCACHEPREFIX": str(bytecode), "PYTHONSAFEPATH": "1"}  # no working folder on the path
        # Unchecked, because templates that only look like Python do not compile.
        subprocess.run(command, env=env, input="\n".join(missing), text=True, check=False)  # noqa: S603


def _main() -> None:
    try:
        pin = install()
    except (MeasureError, OSError) as error:
        sys.exit(f"The environment cannot be measured: {error}")
    print(f"{len(pin.files)} files measured and pinned")


if __name__ == "__main__":
    _main()
