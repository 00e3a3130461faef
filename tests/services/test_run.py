"""What is started runs the project's code and the installed packages, whatever else lies in the working folder."""

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.project_copy import copy_of_the_project
from start import run
from tests.support.planted import ROOT, plant, said_by

GENUINE = hashlib.sha256(b"genuine").hexdigest()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_of_the_project(tmp_path_factory.mktemp("project") / "planted")
    plant(folder)
    return folder


def test_what_is_run_without_what_keeps_planted_code_out_refuses(planted: Path) -> None:
    needed = ["-I", "-S", "-B", "-X", "pycache_prefix=/dev/null"]
    commands = [[sys.executable, *flags] for flags in ([], needed[1:], ["-I", *needed[2:]], ["-I", "-S", *needed[3:]])]
    commands += [[sys.executable, *needed[:3]], [str(Path(sys.executable).resolve()), *needed]]
    for start in commands:
        command = [*start, f"{ROOT}/start/run.py", "demo", "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        assert (done.returncode, done.stderr) == (
            1,
            "Start it by start/run, which sets the options that keep planted code out.\n",
        )


def test_whatever_holds_secrets_is_closed_first() -> None:
    """Whatever else did so would be refused by `Authority`; closed are also some that make none."""
    makes = re.compile(
        r"^ *from (authorities\.attestation\.local\.authority import|local\.start import .*\brunning\b)", re.MULTILINE
    )
    folders = [ROOT / package for package in run.PACKAGES - {"tests"}]
    texts = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): file.read_text()
        for folder in folders
        for file in folder.rglob("*.py")
    }
    making = {module for module, text in texts.items() if makes.search(text)}
    while (
        more := {  # what imports such a module, also in a function, may run it
            module
            for module, text in texts.items()
            if making.intersection(re.findall(r"^ *from ([\w.]+) import ", text, re.MULTILINE))
        }
        - making
    ):
        making |= more
    found = {module for module in making if "__main__" in texts[module]}

    assert {"demo.__main__", "start.__main__", "lab.bench.__main__"} <= found
    assert [module for module in found if not run.holds_secrets(module)] == []
    for module in ("zt", "demo", "demo.__main__", "lab.bench.__main__"):
        assert run.holds_secrets(module)
    for module in ("demonstration", "client", "registration.pin", "pytest"):
        assert not run.holds_secrets(module)


CHANGES = {
    "a changed package": ("lib/package.py", "changed"),
    "a module more": ("lib/typing_extensions.py", "changed"),
    "a .pth file": ("lib/planted.pth", "import posix; posix._exit(3)"),
    "changed bytecode": ("bytecode/package.pyc", "changed"),
}


@pytest.mark.parametrize(("name", "content"), CHANGES.values(), ids=CHANGES.keys())
def test_what_is_installed_is_held_to_its_pin_before_any_of_it_runs(tmp_path: Path, name: str, content: str) -> None:
    for folder in ("library", "lib", "bytecode"):
        (tmp_path / folder).mkdir()
    for file in ("lib/package.py", "bytecode/package.pyc"):
        (tmp_path / file).write_text("genuine")
    folders = [str(tmp_path / folder) for folder in ("library", "lib", "bytecode")]
    files = {str(tmp_path / file): (0, 0, 0, GENUINE) for file in ("lib/package.py", "bytecode/package.pyc")}
    pin = {"folders": folders, "single": [str(tmp_path / "python311._pth")], "files": files}
    (tmp_path / "environment.json").write_text(json.dumps(pin))
    run.check_installed(tmp_path)
    (tmp_path / name).write_text(content)

    with pytest.raises(SystemExit, match=f"is not as installed: {tmp_path / name}.  Restore it"):
        run.check_installed(tmp_path)


@pytest.mark.parametrize("pin", [None, "", "[]", "{}", '{"folders": ["/nowhere"], "single": [], "files": {}}'])
def test_without_a_pin_nothing_that_is_installed_runs(tmp_path: Path, pin: str | None) -> None:
    if pin is not None:
        (tmp_path / "environment.json").write_text(pin)

    with pytest.raises(SystemExit, match=r"cannot be compared with its pin .*: `rm -r \.venv`, then `make`"):
        run.check_installed(tmp_path)


def test_a_changed_environment_is_noticed_by_what_is_started(planted: Path) -> None:
    pin = planted / ".venv" / "environment.json"
    genuine = pin.read_text()
    try:
        pin.write_text(json.dumps({**json.loads(genuine), "files": {}}))
        for command in (["start/run", "demo", "--help"], [".venv/bin/zt", "--help"]):
            said = said_by([str(planted / command[0]), *command[1:]], planted)
            assert said.startswith("The environment is not as installed: ")
    finally:
        pin.write_text(genuine)


def test_no_package_that_is_installed_has_the_name_of_one_of_ours() -> None:
    """The project is asked last, so it would not be found."""
    assert run.PACKAGES.isdisjoint(importlib.metadata.packages_distributions())
    assert run.PACKAGES.isdisjoint(sys.stdlib_module_names)


def test_every_folder_with_code_is_one_of_the_packages() -> None:
    folders = (path for path in ROOT.iterdir() if path.name != "run" and not path.name.startswith("."))

    def modules(folder: Path) -> list[Path]:  # the sources of notebooks are none: nothing can import their names
        return [path for path in folder.rglob("*.py") if path.stem.isidentifier()]

    assert {folder.name for folder in folders if modules(folder)} == run.PACKAGES


def test_no_recipe_runs_python_with_the_working_folder_on_its_path() -> None:
    recipes = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("\t")]
    runs = [run for line in recipes for run in re.findall(r"(?:\$\(PYTHON\)|/python|python3) -.*", line)]

    assert runs
    assert not [run for run in runs if not re.match(r"\S+ -[IP] ", run)]
