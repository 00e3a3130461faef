"""What a party runs: its folder, with what that imports; an import that only a run resolves is refused."""

from pathlib import Path

import pytest

from authorities.attestation.verifier.measure import MeasureError
from registration.closure import files_of

ON_DEMAND = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from library.lazy import given
    from library.other import unused
def __getattr__(name):
    return getattr(__import__("library.lazy"), name)
"""


def project(root: Path, main: str, **modules: str) -> Path:
    """A project with a party, and the package `library` with these modules."""
    (root / "party").mkdir()
    (root / "party/main.py").write_text(main)
    (root / "party/page.html").touch()
    (root / "library").mkdir()
    for name, text in {"__init__": "", **modules}.items():
        (root / f"library/{name}.py").write_text(text)
    return root


@pytest.mark.parametrize(
    ("main", "reached"),
    [
        ("import library.a", {"a", "b"}),
        ("from library.a import x", {"a", "b"}),
        ("from library import a", {"a", "b"}),
        ("def late():\n    import library.b", {"b"}),
        ("import json, httpx", None),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import library.a", None),
    ],
)
def test_each_file_is_found_that_is_imported_directly_or_not(
    tmp_path: Path, main: str, reached: set[str] | None
) -> None:
    project(tmp_path, main, a="from library.b import y", b="", unused="")

    library = {f"library/{name}.py" for name in reached | {"__init__"}} if reached else set[str]()
    assert files_of(tmp_path, "party").keys() == {"party/main.py", "party/page.html"} | library


def test_a_name_that_its_package_imports_on_demand_is_found(tmp_path: Path) -> None:
    project(tmp_path, "from library import given", __init__=ON_DEMAND, lazy="import library.a", a="", other="")

    found = {path.removeprefix("library/") for path in files_of(tmp_path, "party") if path.startswith("library/")}
    assert found == {"__init__.py", "lazy.py", "a.py"}


@pytest.mark.parametrize(
    ("main", "why"),
    [
        ("from . import other", "party/main.py:1: import each name from its whole module"),
        ("from library.a import *", "party/main.py:1: import each name from its whole module"),
        ("import importlib\nimportlib.import_module(name)", "party/main.py:2: what is imported here is known at run"),
        ("__import__('library.a')", "party/main.py:1: what is imported here is known at run time only"),
        ("import library", "import the names of `library` that are used"),
        ("def", "party/main.py: invalid syntax"),
    ],
)
def test_an_import_that_cannot_be_followed_is_refused(tmp_path: Path, main: str, why: str) -> None:
    project(tmp_path, main, __init__=ON_DEMAND, lazy="", a="", other="")

    with pytest.raises(MeasureError) as refused:
        files_of(tmp_path, "party")
    assert why in str(refused.value)
