"""What the package imports is what it declares, and what the image installs is what is tested."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.system import ROOT, registry

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
BASE = "no extra"
DECLARED = {
    part: {canonicalize_name(Requirement(one).name) for one in needed} - {PROJECT["project"]["name"]}
    for part, needed in {
        BASE: PROJECT["project"]["dependencies"],
        **PROJECT["project"]["optional-dependencies"],
    }.items()
}
DISTRIBUTIONS = packages_distributions()
OURS = {"zerotrust", "authzen", "evidence", "zt", "testkit"}


A2A = {"a2a.py", "agent_card.py", "agent_client.py"}
MCP = {"mcp.py", "tool_client.py"}


def extra_of(file: Path) -> str:
    """Return the extra that has to bring what a module imports."""
    match file.relative_to(ROOT).parts:
        case "zt", *_:
            return "zt"
        case "testkit", *_:
            return "testbed"
        case "zerotrust", "adapters" | "agent" | "orchestrator" | "tool", name if name in A2A | MCP:
            return "a2a" if name in A2A else "mcp"
    return "party"


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - OURS


IMPORTED = {
    (package, extra_of(file)) for folder in OURS for file in (ROOT / folder).rglob("*.py") for package in imported(file)
}


@pytest.mark.parametrize(("package", "part"), sorted(IMPORTED))
def test_what_is_imported_is_declared(package: str, part: str) -> None:
    brought_by = {canonicalize_name(name) for name in DISTRIBUTIONS[package]}

    assert brought_by & (DECLARED[BASE] | DECLARED["party"] | DECLARED[part]), (
        f"pyproject.toml does not declare {package} for {part}"
    )


LOADED = """
import sys, zerotrust.standalone.any_issuer, authzen.client
print(*{name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)
"""


def test_a_service_that_is_guarded_for_any_issuer_loads_what_comes_without_an_extra() -> None:
    loaded = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {LOADED}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    brought = {canonicalize_name(name) for package in loaded for name in DISTRIBUTIONS.get(package, ())}
    assert brought & DECLARED["party"] <= {"httpcore"}  # which httpx brings
    assert brought.isdisjoint({"cedarpy", "spiffe", "mcp", "a2a-sdk", "python-keycloak", "grpcio"})


@pytest.mark.parametrize("part", DECLARED)
def test_what_is_declared_is_imported(part: str) -> None:
    used = {canonicalize_name(name) for package, _ in IMPORTED for name in DISTRIBUTIONS[package]}

    assert DECLARED[part] - used == set()


def pinned(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The version and the hashes of each package of a lock."""
    entries = re.findall(r"^(\S+)==(\S+)([^\n]*\\\n(?:    --hash=[^\n]*\n)+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {name: (version, frozenset(re.findall(r"sha256:[0-9a-f]{64}", rest))) for name, version, rest in entries}


def test_the_image_installs_what_is_tested() -> None:
    installed, tested = pinned("start/locks/requirements.run.lock"), pinned("start/locks/requirements.lock")

    assert installed.items() <= tested.items()
    needed = [
        *(declared for part, declared in DECLARED.items() if part != "testbed"),  # it is outside, and looks in
        {canonicalize_name(Requirement(one).name) for one in GROUPS["demo"]},
    ]
    assert set[str]().union(*needed) <= installed.keys()


CLIENTS = {"inference": "llama-stack-client", "registry": "python-keycloak", "traces": "opentelemetry-sdk"}


@pytest.mark.parametrize(("lock", "client"), CLIENTS.items())
def test_one_image_alone_installs_what_its_client_needs(lock: str, client: str) -> None:
    """Inference its client of a model server, the registry Keycloak's, the exporter of traces OpenTelemetry's SDK."""
    own, tested = pinned(f"start/locks/requirements.{lock}.lock"), pinned("start/locks/requirements.lock")

    assert own.items() <= tested.items()
    assert client in own
    assert own.keys().isdisjoint(pinned("start/locks/requirements.run.lock"))


def test_what_runs_in_an_image_without_keycloaks_client_does_not_import_it() -> None:
    known, own = registry(), pinned("start/locks/requirements.registry.lock").keys()
    runs = [known.measured[name].replace("/", ".") for name in {*known.measured} - {known.authorities.registry}]
    runs += [f"authorities.attestation.{where}" for where in ("containers", "kubernetes")]
    imports = ", ".join([*(f"{one}.main" for one in runs), "start.traces.spans", "registration.realm.script"])
    absent = [name for name, brought in DISTRIBUTIONS.items() if own & {canonicalize_name(one) for one in brought}]
    program = f"import sys; sys.path.append({str(ROOT)!r}); sys.modules |= dict.fromkeys({absent}); import {imports}"

    assert "jwcrypto" in absent
    subprocess.run([sys.executable, "-I", "-c", program], check=True)  # noqa: S603


def test_a_notebook_imports_the_demo_with_the_packages_that_are_tested() -> None:
    kernels, tested = pinned("start/locks/requirements.notebooks.lock"), pinned("start/locks/requirements.lock")

    needed = {canonicalize_name(Requirement(one).name) for one in [*GROUPS["demo"], *GROUPS["registry"]]}
    needed = needed.union(*(declared for part, declared in DECLARED.items() if part != "testbed"))
    assert {name: kernels.get(name) for name in needed} == {name: tested[name] for name in needed}
