"""Deletes every check in `zerotrust/`, one after the other, and proves for each that a test fails: `make mutations`.

Each mutant lives in a process of its own, forked from one that has the libraries loaded and nothing of this project.
The tests of its module run until the first one fails.  A mutant that none of them notices has to be excused in
`EXCUSED`, by name and with a reason; an excuse that is not needed is an error as well.
"""

import ast
import importlib.machinery
import importlib.util
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest
import typer
from rich.console import Console

from tests.support.mutants import Mutant, mutants

ROOT = Path(__file__).parents[1]
SOURCES = sorted(set((ROOT / "zerotrust").glob("*.py")) - {ROOT / "zerotrust" / "__init__.py"})
SECONDS = 300
"""After which a mutant that makes the tests hang counts as noticed."""
LIBRARIES = ("a2a.client", "a2a.server.routes", "cedarpy", "fastapi", "httpx", "hypothesis", "mcp", "pydantic_settings")
TESTS = {
    "a2a": "services/test_reader input/test_handlers faults/test_tasks services/test_orchestrator attacks/test_j_a2a",
    "audit": "unit/test_audit faults/test_disk unit/test_gate input/test_values",
    "bounded": "unit/test_keys faults/test_issuer unit/test_exchange unit/test_outgoing",
    "cards": "unit/test_cards services/test_reader",
    "clock": "faults/test_clock",
    "confirm": "unit/test_confirm services/test_withdrawal",
    "connections": "unit/test_connections",
    "digests": "unit/test_digests unit/test_imports unit/test_cards",
    "errors": "unit/test_errors unit/test_gate",
    "exchange": "unit/test_exchange unit/test_imports faults/test_clock faults/test_issuer attacks/test_f_tokens",
    "gate": (
        "unit/test_gate unit/test_withdrawn unit/test_binding unit/test_errors "
        "unit/test_tally input/test_handlers input/test_values"
    ),
    "identity": "unit/test_identity unit/test_imports unit/test_verify unit/test_gate",
    "incoming": "unit/test_gate input/test_wire attacks/test_a_credentials",
    "keys": "unit/test_keys faults/test_issuer attacks/test_b_jose attacks/test_k_keys",
    "known": "unit/test_known unit/test_signals",
    "lock": "unit/test_lock unit/test_register",
    "mcp": "unit/test_mcp unit/test_imports unit/test_gate input/test_handlers attacks/test_i_mcp",
    "outgoing": "unit/test_outgoing faults/test_tasks services/test_story",
    "policy": "unit/test_policy unit/test_imports unit/test_gate attacks/test_e_scope",
    "refusing": "unit/test_gate unit/test_withdrawn unit/test_errors",
    "registry": "unit/test_registry unit/test_realm",
    "run": "unit/test_run",
    "server": "input/test_wire services/test_server input/test_protocols",
    "service": (
        "services/test_discovery services/test_withdrawal services/test_server services/test_orchestrator "
        "input/test_handlers services/test_documents"
    ),
    "settings": "unit/test_settings",
    "signals": "unit/test_signals services/test_registry_authority",
    "signed": "unit/test_signed unit/test_cards",
    "standing": "unit/test_standing",
    "strict_json": "unit/test_strict_json unit/test_verify unit/test_gate fuzz/test_properties",
    "svid": "unit/test_svid unit/test_tls unit/test_signed",
    "tally": "unit/test_tally unit/test_gate faults/test_disk",
    "thinking": (
        "services/test_discovery services/test_reader services/test_writer faults/test_tasks "
        "services/test_story attacks/test_l_model"
    ),
    "tls": "unit/test_tls unit/test_connections",
    "tool": "services/test_documents input/test_handlers attacks/test_i_mcp attacks/test_e_scope",
    "verify": "unit/test_verify unit/test_imports unit/test_gate faults/test_clock attacks/test_c_claims",
    "workload": "services/test_attestation",
}
"""The tests of each module, the likeliest to notice first.  What none of them notices, nobody does."""

EXCUSED = {
    "gate: self.principal": "for the type checker: a trace is followed only once the caller is known",
    "a2a: streaming=False": "the card has said so already",
    "cards: push_notifications=False": "what the SDK takes where nothing is said",
}
"""`module: deleted` to why nobody can notice that it is gone."""

console = Console(highlight=False)


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant: the first test that failed, if any did."""

    module: str
    mutant: Mutant
    noticed_by: str

    @property
    def name(self) -> str:
        """How the mutant is called in `EXCUSED`."""
        return f"{self.module}: {self.mutant.deleted}"


class _Weakened(importlib.machinery.SourceFileLoader):
    """Loads a module from the mutant's tree."""

    tree: Mutant

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree.tree, self.get_filename(fullname), "exec")


class _Finder:
    """Finds the weakened module in the place of the real one."""

    def __init__(self, module: str, mutant: Mutant) -> None:
        self._name, self._mutant = f"zerotrust.{module}", mutant

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        file = ROOT / "zerotrust" / f"{name.rpartition('.')[2]}.py"
        loader = _Weakened(name, str(file))
        loader.tree = self._mutant
        return importlib.util.spec_from_loader(name, loader)


def _start(module: str, mutant: Mutant, output: Path) -> int:
    """Run the tests on one mutant in a child process; return its id."""
    if child := os.fork():
        return child
    code = 1
    try:
        os.setsid()  # whatever the tests start ends with us
        with output.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.meta_path.insert(0, _Finder(module, mutant))
        tests = [str(ROOT / "tests" / f"{name}.py") for name in TESTS[module].split()]
        # The libraries are there already, so pytest cannot rewrite the assertions in them, nor need it.
        warned = ["-W", "ignore:Module already imported"]
        chosen = [
            "-m",
            "not e2e",
            "-k",
            "not succeeds",
        ]  # an attack on a system that lacks a control proves nothing here
        options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", *chosen, *warned]
        code = int(pytest.main([*options, *tests]))
    except BaseException:  # noqa: BLE001 - nothing gets out of here, least of all into the parent's own stack
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _verdict(module: str, mutant: Mutant, code: int, output: Path) -> Verdict:
    if code == 0:
        return Verdict(module, mutant, "")
    if code < 0:
        return Verdict(module, mutant, "the tests do not end")
    said = output.read_text(errors="replace")
    if not (found := re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)):
        raise RuntimeError(f"no test failed, and yet the run did:\n{said[-2000:]}")
    return Verdict(module, mutant, found[1])


def verdicts(chosen: Iterable[tuple[str, Mutant]], workers: int) -> Iterator[Verdict]:
    """Try each mutant, so many at once, in whatever order they end."""
    waiting = list(chosen)
    alive: dict[int, tuple[str, Mutant, Path, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        while waiting or alive:
            while waiting and len(alive) < workers:
                module, mutant = waiting.pop(0)
                output = Path(folder) / f"{len(waiting)}.txt"
                alive[_start(module, mutant, output)] = (module, mutant, output, time.monotonic() + SECONDS)
            child, status = os.waitpid(-1, os.WNOHANG)
            if child:
                module, mutant, output, _ = alive.pop(child)
                yield _verdict(module, mutant, os.waitstatus_to_exitcode(status), output)
                continue
            for child, (*_, deadline) in alive.items():
                if time.monotonic() > deadline:
                    os.killpg(child, signal.SIGKILL)
            time.sleep(0.05)


def main(
    modules: list[str] = typer.Argument(default=None, help="only these; all where none is named"),  # noqa: B008
    workers: int = os.cpu_count() or 1,
) -> None:
    """Try all mutants and print what noticed each; fail if one is noticed by nobody."""
    for library in LIBRARIES:
        importlib.import_module(library)
    files = [file for file in SOURCES if not modules or file.stem in modules]
    console.print("First with nothing deleted: every test must pass, or a failure would prove nothing.")
    for untouched in verdicts([(file.stem, _whole(file)) for file in files], workers):
        if untouched.noticed_by:
            sys.exit(f"{untouched.noticed_by} fails by itself.")
    chosen = [(file.stem, mutant) for file in files for mutant in mutants(file.read_text())]
    seen = []
    for verdict in verdicts(chosen, workers):
        seen.append(verdict)
        excuse = EXCUSED.get(verdict.name)
        good = bool(verdict.noticed_by) != bool(excuse)
        told = verdict.noticed_by or (f"excused: {excuse}" if excuse else "NOBODY NOTICES")
        console.print(
            f"{'[green]✓' if good else '[red]✗'}[/] {len(seen):3}/{len(chosen)}  "
            f"zerotrust/{verdict.module}.py:{verdict.mutant.line}  [bold]{_plain(verdict.mutant.deleted)}[/]\n"
            f"           {_plain(told)}",
            soft_wrap=True,
        )
    unnoticed = [v.name for v in seen if not v.noticed_by and v.name not in EXCUSED]
    needless = [v.name for v in seen if v.noticed_by and v.name in EXCUSED]
    console.print(f"{len(seen)} checks deleted, {len(unnoticed)} unnoticed, {len(needless)} excused without need.")
    for name in unnoticed + needless:
        console.print(f"[red]{_plain(name)}[/]")
    sys.exit(1 if unnoticed or needless else 0)


def _whole(file: Path) -> Mutant:
    return Mutant(0, "nothing", ast.parse(file.read_text()))


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    typer.run(main)
