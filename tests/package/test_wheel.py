"""What others install: it holds the library and `zt` and nothing else, and asks for an SDK only where one is used."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.system import ROOT
from tests.support.wheel import Install
from zt.reasons import meaning

# Imports every module and prints which of them cannot be, and why.
IMPORT_ALL = """
import authzen, evidence, importlib, pkgutil, testkit, zerotrust, zt

for package in zerotrust, authzen, evidence, zt, testkit:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            print(module.name, error, sep=": ")
"""
NEEDS_AN_EXTRA = {
    **dict.fromkeys(
        (f"zerotrust.{name}" for name in ("agent.a2a", "adapters.agent_card", "orchestrator.agent_client")), "a2a"
    ),
    **dict.fromkeys((f"zerotrust.{name}" for name in ("agent.agent_loop", "agent.tool_client", "tool.mcp")), "mcp"),
    **dict.fromkeys(
        ("testkit." + name for name in ("intruders", "operator", "records", "rogue", "stack", "users")), "docker"
    ),
    **dict.fromkeys(("testkit.delegation", "testkit.pytest_plugin"), "pytest"),
}


def run(python: Path, source: str, folder: Path) -> list[str]:
    done = subprocess.run([python, "-I", "-c", source], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_wheel_holds_the_library_and_zt_and_nothing_else(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())

    about = {name for name in held if ".dist-info/" in name}
    ours = {
        str(file.relative_to(ROOT))
        for package in ("zerotrust", "authzen", "evidence", "zt", "testkit")
        for pattern in ("*.py", "py.typed")
        for file in (ROOT / package).rglob(pattern)
    }
    assert held - about == ours | {"zt/reasons.yaml"}
    assert {name.partition("/")[2] for name in about} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }


@pytest.fixture(scope="module")
def bare(install: Install) -> Path:
    """An environment for a party, without an SDK."""
    return install("party")


def test_with_the_extra_of_a_party_all_but_adapters_test_bed_and_zt_can_be_imported(bare: Path, tmp_path: Path) -> None:
    refused = dict(line.split(": ", 1) for line in run(bare / "python", IMPORT_ALL, tmp_path))

    inside_zt = {name: why for name, why in refused.items() if name.startswith("zt.")}
    assert set(inside_zt.values()) <= {"No module named 'typer'", "No module named 'rich'"}
    assert {name: why for name, why in refused.items() if name not in inside_zt} == {
        name: f"No module named '{sdk}'" for name, sdk in NEEDS_AN_EXTRA.items()
    }


GUARDED = """
from fastapi import FastAPI
from zerotrust import Public, guard

app = FastAPI(openapi_url=None)


@app.get("/")
async def here() -> None: ...


guard(app, issuer="https://sso.example", audience="https://quotes.example", routes={("GET", "/"): Public()})
print("guarded")
"""


def test_without_extras_a_service_is_guarded_for_any_issuer_and_few_packages_come(
    install: Install, tmp_path: Path
) -> None:
    alone = install("")

    assert run(alone / "python", GUARDED, tmp_path) == ["guarded"]
    listing = "from importlib.metadata import distributions; print(*{one.name for one in distributions()})"
    [names] = run(alone / "python", listing, tmp_path)
    assert not {"cedarpy", "spiffe", "grpcio", "mcp", "a2a-sdk", "python-keycloak", "uvicorn"} & {*names.split()}
    assert len(names.split()) < 30


@pytest.mark.parametrize("command", [("zt", "party", "list"), ("python", "-I", "-m", "zt")], ids=["script", "module"])
def test_without_its_extra_zt_ends_with_one_sentence_that_names_it(
    bare: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    program, *words = command
    done = subprocess.run([bare / program, *words], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603

    said = "typer is not installed: `zt` comes with the extra `zt` of this package.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_with_all_extras_everything_can_be_imported_and_zt_is_a_command(install: Install, tmp_path: Path) -> None:
    found = install("a2a,mcp,testbed,zt")

    assert run(found / "python", IMPORT_ALL, tmp_path) == []
    [revoked] = run(found / "python", "from zt.reasons import meaning; print(meaning('revoked'))", tmp_path)
    assert revoked == meaning("revoked")
    shown = subprocess.run([found / "zt", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S603
    assert "List, show, suspend and reinstate parties." in shown.stdout
