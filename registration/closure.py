"""Computes what a party runs: its own folder, and every file of the project that its code imports, directly or not.

`python -m registration.closure FOLDER` prints these files, which are all that an image of the party gets.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from authorities.attestation.verifier.measure import BYTECODE_CACHES, MeasureError, measure_files

ON_DEMAND = "__getattr__"
"""The function by which a package imports a name when it is first used (PEP 562)."""
AT_RUN_TIME = {"import_module", "__import__", "run_module", "run_path"}


class _Imports(NamedTuple):
    """The imports of a file, each as a module and a name in it, or `""`."""

    at_once: frozenset[tuple[str, str]]
    on_demand: Mapping[str, str]
    """For type checkers: the modules of names.  A package with `__getattr__` imports these names when they are used."""
    gives_on_demand: bool


def files_of(root: Path, folder: str) -> dict[str, str]:
    """Return what a party with this folder runs: the SHA-256, in hex, of each file, by path in the project.

    Raises `MeasureError` for a file that cannot be read, and for an import that only a run could resolve.
    """
    own = measure_files(root, [folder], leave_out=BYTECODE_CACHES)
    found, waiting = {*own}, [path for path in own if path.endswith(".py")]
    while waiting:
        for path in _imported(root, waiting.pop()):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return own | measure_files(root, (), single=found - own.keys())


def _imported(root: Path, path: str) -> Iterator[str]:
    """Yield the files of the project that one file imports itself, with the packages that they are in."""
    for module, name in _imports_of(root, path).at_once:
        yield from _packages(root, module)
        package = _file(root, module)
        if package is None:
            continue
        yield package
        if name and (submodule := _file(root, f"{module}.{name}")):
            yield submodule
        elif package.endswith("__init__.py") and (given := _imports_of(root, package)).gives_on_demand:
            if not name:
                raise MeasureError(f"{path}: import the names of `{module}` that are used, not all of it")
            if name in given.on_demand:
                yield from (one for one in [_file(root, given.on_demand[name])] if one)
                yield from _packages(root, given.on_demand[name])


def _packages(root: Path, module: str) -> Iterator[str]:
    parts = module.split(".")
    for length in range(1, len(parts)):
        if (root / (path := "/".join([*parts[:length], "__init__.py"]))).is_file():
            yield path


def _file(root: Path, module: str) -> str | None:
    stem = module.replace(".", "/")
    return next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if (root / path).is_file()), None)


def _imports_of(root: Path, path: str) -> _Imports:
    try:
        return _parse((root / path).read_bytes(), path)
    except (OSError, SyntaxError, ValueError) as error:
        raise MeasureError(f"{path}: {error}") from error


@lru_cache(maxsize=1024)
def _parse(source: bytes, path: str) -> _Imports:
    tree = ast.parse(source)
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _is_for_types(node.test)]
    skipped = {id(inner) for node in for_types for part in node.body for inner in ast.walk(part)}
    gives = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == ON_DEMAND]
    within = {id(inner) for node in gives for inner in ast.walk(node)}
    at_once, on_demand = set[tuple[str, str]](), dict[str, str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            at_once |= {(each.name, "") for each in node.names if id(node) not in skipped}
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.names[0].name == "*":
                raise MeasureError(f"{path}:{node.lineno}: import each name from its whole module")
            for each in node.names:
                if id(node) in skipped:
                    on_demand[each.name] = node.module or ""
                else:
                    at_once.add((node.module or "", each.name))
        elif isinstance(node, ast.Call) and _called(node) in AT_RUN_TIME and id(node) not in within:
            raise MeasureError(f"{path}:{node.lineno}: what is imported here is known at run time only: use `import`")
    return _Imports(frozenset(at_once), on_demand, bool(gives))


def _is_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


if __name__ == "__main__":
    print("\n".join(sorted(files_of(Path(), sys.argv[1]))))
