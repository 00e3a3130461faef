"""The architecture as a test: what is pure stays pure, and no service knows another."""

import ast
import sys
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import ROOT, registry
from zerotrust.authority.files.lock import load_lock

PURE = [
    "identity",
    "limits.bounded",
    "limits.strict_json",
    "errors",
    "decision",
    "policy",
    "policy_in_force",
    "possession",
    "token_validation",
    "dialect",
    "transport.jsonrpc",
    "routes",
    "tool.mcp_tools",
    "revocation",
    "revocation_list",
    "hardening.in_flight",
    "authority.files.strict_yaml",
    "authority.visible",
    "authority.names",
    "spiffe.svid",
    "spiffe.statement",
    "adapters.model_choice",
    "adapters.agent_card",
    "audit.forms",
    "audit.canonical",
    "audit.event_parts",
    "audit.event_types",
    "audit.event",
    "authority.ledger.leaf",
    "audit.record",
    "registry.model",
    "registry.snapshot",
    "tlog.tree",
    "authority.log.proofs",
    "authority.log.tiles",
    "tlog.note",
    "tlog.checkpoint",
    "tlog.quorum",
    "tlog.proof",
    "authority.ledger.cosignature",
    "receipts.receipt",
    "receipts.carried",
]
HOUSE = [
    {"zerotrust"},
    {"authzen", "evidence", "authorities", "orchestrator", "agents", "tools", "inference", "console"},
    {"zt", "registration"},
    {"testkit"},
    {"start"},
    {"demo"},
    {"lab"},
    {"notebooks"},
]
"""The folders at the top from the ground up, tests apart: each knows only what is below it."""
EVIDENCE = sorted(file.stem for file in (ROOT / "evidence").glob("*.py") if file.stem != "__init__")
"""Evidence off line: all of it is pure, and no party runs it."""
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for folder in ("zerotrust", "authzen", "evidence")
    for file in (ROOT / folder).rglob("*.py")
)
DOES_IO = {"asyncio", "fastapi", "httpx", "httpx2", "os", "pathlib", "socket", "spiffe", "starlette", "time", "uvicorn"}
SDKS = {"a2a", "google", "mcp", "mcp_types", "typer", "rich"}
"""What is installed with an extra (`pyproject.toml`)."""
ENGINE = {"policy", "policy_in_force", "runtime"}
"""Who may know which policy language it is: the engine, and who composes a service with it."""
SERVICES = ["orchestrator", "agents/reader", "agents/writer", "tools/documents", "inference", "console"]


def imports(file: Path) -> set[str]:
    """The dotted names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative"
            found.add(node.module or "")
    return found


LAYERS = [
    {"errors", "clock", "shielded", "durable"},
    {"identity"},
    {"decision"},
    {"limits", "routes", "revocation_list"},
    {"tlog", "possession"},
    {"policy", "token_validation", "dialect"},
    {"policy_in_force"},
    {"spiffe", "revocation"},
    {"registry", "context"},
    {"audit", "settings", "hardening", "routing"},
    {"receipts"},
    {"issuer"},
    {"transport"},
    {"call", "decider", "app"},
    {"sealing", "lifetime"},
    {"checks"},
    {"gate"},
    {"service", "standalone"},
    {"adapters", "authority", "runtime", "tool"},
    {"agent", "orchestrator"},
]
"""The library from the ground up, by package, or by module where it is in none: each knows only what is below it."""


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_nothing_that_does_input_or_output(module: str) -> None:
    named = imports((ROOT / "zerotrust" / module.replace(".", "/")).with_suffix(".py"))

    assert {name.partition(".")[0] for name in named} & DOES_IO == set()
    ours = {name.removeprefix("zerotrust.") for name in named if name.startswith("zerotrust.")}
    assert ours <= {*PURE}


@pytest.mark.parametrize("module", EVIDENCE)
def test_evidence_is_verified_without_input_or_output(module: str) -> None:
    named = imports(ROOT / "evidence" / f"{module}.py")

    assert {name.partition(".")[0] for name in named} & DOES_IO == set()
    ours = {name.removeprefix("zerotrust.") for name in named if name.startswith("zerotrust.")}
    assert ours <= {*PURE}


def test_each_layer_of_the_library_knows_only_the_layers_below_it() -> None:
    height = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    library = ROOT / "zerotrust"

    for file in library.rglob("*.py"):
        part = file.relative_to(library).with_suffix("").parts[0]
        if part == "__init__":
            continue  # it is the way in, and gives each name on demand
        below = {name.split(".")[1] for name in imports(file) if name.startswith("zerotrust.")} - {part}
        assert [name for name in below if height[name] >= height[part]] == [], file


def test_each_folder_of_the_house_knows_only_those_below_it() -> None:
    height = {folder: number for number, layer in enumerate(HOUSE) for folder in layer}

    assert {path.parent.name for path in ROOT.glob("*/*.py")} <= height.keys() | {"tests"}
    for folder, own in height.items():
        for file in (ROOT / folder).rglob("*.py"):
            known = {name.partition(".")[0] for name in imports(file)} & height.keys() - {folder}
            assert [name for name in known if height[name] >= own] == [], file


def test_a_value_stays_what_it_was_decided_to_be() -> None:
    here = [(module, kind) for module in MODULES for kind in vars(import_module(module)).values()]
    found: list[Any] = [kind for module, kind in here if is_dataclass(kind) and kind.__module__ == module]

    changing = {f"{kind.__module__}.{kind.__name__}" for kind in found if not kind.__dataclass_params__.frozen}
    assert changing == {
        "zerotrust.call.Call",
        "zerotrust.checks.Checks",
        "zerotrust.gate.Gate",
        "zerotrust.context.RequestContext",
        "zerotrust.receipts.calls._Share",
        "zerotrust.hardening.server._Holder",
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_knows_itself_and_the_library_and_nothing_else_of_this_project(service: str) -> None:
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()}
    package = service.replace("/", ".")

    for file in (ROOT / service).glob("*.py"):
        known = {name for name in imports(file) if name.partition(".")[0] in ours}
        assert [name for name in known if not name.startswith((package, "zerotrust"))] == [], file


def test_nothing_is_in_the_library_that_only_adopters_run_but_the_rungs_for_them() -> None:
    lock = load_lock(ROOT / "registry.lock")
    measured = {file for file in (ROOT / "zerotrust").rglob("*.py") if file.name != "__init__.py"}

    needed = {ROOT / path for name in registry().launched for path in lock.files_of(name)}
    assert {file.parent.name for file in measured - needed} == {"standalone"}


def test_nobody_needs_the_policy_engine_to_name_a_reason_or_to_guard_an_application() -> None:
    modules = {file.stem: imports(file) for file in (ROOT / "zerotrust").rglob("*.py")}

    assert [module for module, named in modules.items() if "cedarpy" in named] == ["policy"]
    assert {module for module, named in modules.items() if "zerotrust.policy" in named} == ENGINE - {"policy"}
    assert modules["errors"] == set()
    allowed = {*sys.stdlib_module_names, "collections.abc", "zerotrust.errors", "zerotrust.identity"}
    assert modules["decision"] <= allowed


def test_an_sdk_is_needed_by_adapters_agent_and_tool_alone() -> None:
    for file in (ROOT / "zerotrust").rglob("*.py"):
        outside = {name.partition(".")[0] for name in imports(file)}
        assert not outside & SDKS or file.parent.name in {"adapters", "agent", "orchestrator", "tool"}, file


def test_the_library_knows_nobody_that_is_built_from_it() -> None:
    ours = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"zerotrust"}

    for file in (ROOT / "zerotrust").rglob("*.py"):
        assert {name for name in imports(file) if name.partition(".")[0] in ours} == set(), file


def test_the_verifier_does_not_know_how_a_party_was_started() -> None:
    files = list((ROOT / "authorities/attestation/verifier").glob("*.py"))

    assert len(files) > 5
    for file in files:
        ours = {name for name in imports(file) if name.partition(".")[0] == "authorities"}
        assert [name for name in ours if not name.startswith("authorities.attestation.verifier.")] == [], file


def test_files_of_the_registry_and_of_policies_are_read_by_the_registry_and_by_no_service() -> None:
    files = [file for folder in ("zerotrust", *SERVICES) for file in (ROOT / folder).rglob("*.py")]

    assert [file for file in files if "zerotrust.authority.files.snapshot_files" in imports(file)] == []
