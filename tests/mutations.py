"""Deletes every check in `zerotrust/`, one after the other, and proves for each that a test fails: `make mutations`.

First all tests run with nothing deleted: they must pass, and it is recorded which lines each of them runs.  Then each
mutant gets a process of its own, forked from one that has the libraries loaded and nothing of this project, and there
the tests that run the deleted line, until the first one fails.  A mutant that none of them notices has to be excused
in `EXCUSED`, by name and with a reason; an excuse that is not needed is an error as well.
"""

import contextlib
import importlib.machinery
import importlib.util
import itertools
import os
import re
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeVar

import pytest
import typer
from rich.console import Console

from tests.support.mutants import Mutant, mutants
from tests.support.reached import Only, Passed, Recorder, module_of, recorded

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "zerotrust"
SOURCES = {
    module_of(file, LIBRARY): file
    for file in sorted(LIBRARY.rglob("*.py"))
    if file.stem != "__init__" and file.parent.name != "testing"  # which checks nothing
}
TESTS = {
    "transport.accepting": (
        "services/test_bundle services/test_server attacks/test_o_keys_door attacks/test_o_costs input/test_wire"
    ),
    "adapters.a2a": (
        "services/test_discovery services/test_reader services/test_clients faults/test_tasks "
        "services/test_orchestrator input/test_protocols attacks/test_j_a2a services/test_revocation"
    ),
    "adapters.answer": "unit/test_agent_loop services/test_clients services/test_orchestrator faults/test_tasks",
    "adapters.extras": "package/test_wheel unit/test_extras",
    "audit.counts": "unit/test_counts unit/test_binding unit/test_gate faults/test_disk",
    "audit.event": "unit/test_event unit/test_gate input/test_values",
    "audit.journal": "unit/test_journal faults/test_disk unit/test_gate",
    "audit.recorder": "unit/test_outcome unit/test_gate faults/test_disk",
    "limits.answers": "unit/test_jwks faults/test_issuer unit/test_exchange unit/test_egress",
    "call": "unit/test_outcome unit/test_gate unit/test_binding unit/test_revoked_caller",
    "adapters.agent_card": "unit/test_agent_card services/test_reader attacks/test_j_a2a",
    "clock": "faults/test_clock",
    "issuer.discovery": "unit/test_discovery attacks/test_k_keys",
    "issuer.introspection": "unit/test_introspection services/test_revocation",
    "transport.pools": "unit/test_pools unit/test_imports",
    "context": "unit/test_gate unit/test_binding",
    "decision": "unit/test_decision unit/test_imports unit/test_gate",
    "dialect": "unit/test_dialect unit/test_imports input/test_protocols unit/test_gate attacks/test_i_mcp",
    "adapters.digests": "unit/test_digests unit/test_imports unit/test_agent_card",
    "errors": "unit/test_decision",
    "issuer.exchange": (
        "unit/test_exchange unit/test_imports faults/test_clock faults/test_issuer attacks/test_f_tokens"
    ),
    "gate": (
        "unit/test_gate unit/test_revoked_caller unit/test_binding unit/test_decision unit/test_outcome "
        "unit/test_counts unit/test_imports input/test_handlers input/test_values attacks/test_o_costs "
        "attacks/test_a_credentials attacks/test_i_mcp attacks/test_d_replay"
    ),
    "identity": "unit/test_identity unit/test_imports unit/test_verify unit/test_gate",
    "transport.requests": "unit/test_gate input/test_wire attacks/test_a_credentials",
    "limits.in_flight": "unit/test_in_flight unit/test_gate",
    "transport.jsonrpc": "unit/test_jsonrpc unit/test_gate input/test_protocols attacks/test_i_mcp",
    "issuer.jwks": "unit/test_jwks faults/test_issuer attacks/test_b_jose attacks/test_k_keys",
    "registry.snapshot": "unit/test_snapshot unit/test_feed",
    "registry.lock": "unit/test_lock unit/test_register",
    "transport.logs": "input/test_values faults/test_disk",
    "adapters.mcp_tools": "unit/test_mcp_tools unit/test_imports unit/test_gate input/test_handlers attacks/test_i_mcp",
    "transport.egress": "unit/test_egress faults/test_tasks services/test_story services/test_revocation",
    "policy": "unit/test_policy unit/test_imports unit/test_gate attacks/test_e_scope",
    "transport.responses": (
        "unit/test_gate unit/test_revoked_caller unit/test_decision input/test_handlers input/test_values "
        "services/test_orchestrator services/test_server"
    ),
    "registry.deployment": "unit/test_deployment unit/test_snapshot",
    "registry.directory": "unit/test_pools unit/test_snapshot",
    "registry.files": "unit/test_snapshot unit/test_register",
    "registry.model": "unit/test_registry unit/test_realm",
    "routes": (
        "unit/test_routes unit/test_imports unit/test_binding unit/test_gate services/test_registry_authority "
        "attacks/test_a_credentials"
    ),
    "runtime": "unit/test_runtime",
    "transport.server": "services/test_server unit/test_pools input/test_wire",
    "service": (
        "services/test_discovery services/test_revocation services/test_server services/test_orchestrator "
        "input/test_handlers services/test_documents input/test_values attacks/test_g_feed"
    ),
    "settings": "unit/test_settings",
    "registry.events": "unit/test_feed services/test_registry_authority",
    "registry.feed": "unit/test_feed services/test_registry_authority",
    "registry.topics": "unit/test_feed unit/test_snapshot",
    "spiffe.statement": "unit/test_statement unit/test_agent_card",
    "revocation": "unit/test_revocation unit/test_imports",
    "limits.strict_json": (
        "unit/test_strict_json unit/test_verify unit/test_gate fuzz/test_properties attacks/test_b_jose"
    ),
    "spiffe.svid": "unit/test_svid unit/test_tls unit/test_statement unit/test_imports",
    "adapters.agent_loop": (
        "unit/test_agent_loop services/test_discovery services/test_reader services/test_writer faults/test_tasks "
        "services/test_story attacks/test_l_model"
    ),
    "spiffe.tls": "unit/test_tls unit/test_pools",
    "adapters.mcp": (
        "services/test_documents input/test_handlers input/test_protocols attacks/test_i_mcp attacks/test_e_scope"
    ),
    "limits.turns": "unit/test_turns attacks/test_o_costs",
    "validity": "unit/test_revoked_caller unit/test_gate services/test_revocation",
    "verify": (
        "unit/test_verify unit/test_imports unit/test_gate unit/test_revoked_caller faults/test_clock "
        "attacks/test_c_claims attacks/test_b_jose"
    ),
    "revocation_list": "unit/test_revocation services/test_operator_revocations",
    "spiffe.workload": "unit/test_workload services/test_trust_bundle services/test_attestation",
}
"""The tests of each module, the likeliest to notice first.  What none of them notices, nobody does."""

EXCUSED = {
    "adapters.answer: super().__init__(message)": "Python keeps what an exception is made with before that is called",
    "adapters.a2a: streaming=False": "the card has said so already",
    "adapters.agent_card: streaming=False": "what the SDK takes where nothing is said",
    "adapters.agent_card: push_notifications=False": "what the SDK takes where nothing is said",
    "transport.pools: if not self._unsent:": "to write nothing does nothing; it is quicker not to",
    "call: self.last is not None": "for the type checker: nothing was sent last where nothing was sent first",
    "call: self.principal": "for the type checker: a trace is followed only once the caller is known",
    "transport.responses: super().__init__(status_code=refusal.status)": (
        "nobody looks into an answer that sends itself"
    ),
    "transport.server: isinstance(other, Protocol)": "for the type checker: there are no other connections",
    "revocation_list: if not self._until:": "where there are no times, none is found; it is quicker not to look",
    "adapters.mcp: stateless_http=True": "only requests of an older era have sessions, and the gate refuses them",
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
        loader = _Weakened(name, str(SOURCES[name.removeprefix("zerotrust.")]))
        loader.tree = self._mutant
        return importlib.util.spec_from_loader(name, loader)


def _pytest(files: Iterable[Path], *options: str, plugins: Sequence[object] = ()) -> int:
    # An attack on a system that lacks a control proves nothing here, nor does what fails where a machine is too busy.
    chosen = ["-m", "not e2e", "-k", "not succeeds and not fifty_users_at_once"]
    # The libraries are there already, so pytest cannot rewrite the assertions in them, nor need it.
    quiet = ["-x", "-v", "--tb=line", "-p", "no:cacheprovider", "-W", "ignore:Module already imported"]
    return int(pytest.main([*quiet, *chosen, *options, *map(str, files)], plugins=plugins))


def _libraries(files: Iterable[Path], told: Path) -> int:
    """Tell the names of all modules that the tests import, but for this project's own."""
    code = _pytest(files, "--collect-only")
    files_of = {name: str(getattr(module, "__file__", "")) for name, module in list(sys.modules.items())}
    theirs = [name for name, file in files_of.items() if not file.startswith(f"{ROOT}/") or "site-packages" in file]
    told.write_text("\n".join(theirs))
    return code


def _record(file: Path, told: Path) -> int:
    recorder = Recorder(LIBRARY)
    code = _pytest([file], plugins=[recorder])
    sys.settrace(None)
    recorder.write(told)
    return code


def _try(module: str, mutant: Mutant, tests: Sequence[Passed]) -> int:
    """Run those tests on a mutant."""
    sys.meta_path.insert(0, _Finder(module, mutant))
    files = dict.fromkeys(ROOT / test.file for test in tests)
    return _pytest(files, plugins=[Only({test.id: test.seconds for test in tests})]) if tests else 0


def _start(work: Callable[[], int], output: Path) -> int:
    """Do it in a child process; return its id."""
    if child := os.fork():
        return child
    code = 1
    try:
        os.setsid()
        with output.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = work()
    except BaseException:  # noqa: BLE001 - nothing gets out of here, least of all into the parent's own stack
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


Job = TypeVar("Job")


def _each(jobs: Iterator[tuple[Job, Callable[[], int]]], workers: int) -> Iterator[tuple[Job, int, str]]:
    """Do so many at once; yield what ended, in whatever order, with its exit code and what it said."""
    alive: dict[int, tuple[Job, Path]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in itertools.count():
            if len(alive) < workers and (following := next(jobs, None)):
                job, work = following
                output = Path(folder) / f"{number}.txt"
                alive[_start(work, output)] = (job, output)
                continue
            if not alive:
                return
            child, status = os.wait()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # whatever it started ends with it
            job, output = alive.pop(child)
            yield job, os.waitstatus_to_exitcode(status), output.read_text(errors="replace")


def record(files: Sequence[Path], workers: int) -> list[Passed]:
    """Run the tests of these files with nothing deleted.  Ends the program where one fails by itself."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "libraries.txt"
        for _, code, said in _each(iter([((), partial(_libraries, files, names))]), 1):
            if code:
                sys.exit(f"The tests cannot be read:\n{said}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in names.read_text().split():
                with contextlib.suppress(Exception):  # not every module is there to be imported by its name
                    importlib.import_module(name)
        told = {file: Path(folder) / f"{number}.json" for number, file in enumerate(files)}
        for file, code, said in _each(((file, partial(_record, file, told[file])) for file in files), workers):
            if code:
                sys.exit(f"{file.name} fails by itself:\n{said}")
            found += recorded(told[file])
    return found


def who_may_notice(module: str, mutant: Mutant, tests: Iterable[Passed], noticed: Mapping[str, int]) -> list[Passed]:
    """The tests that run the deleted lines, themselves or by a fixture.

    The likeliest come first: those that noticed the most so far (`noticed`), then the quickest.
    """
    named = [f"tests/{name}.py" for name in TESTS[module].split()]
    gone = {(module, line) for line in mutant.lines}
    may = [test for test in tests if test.file in named and gone & (test.own | test.shared)]
    return sorted(
        may,
        key=lambda test: (not gone & test.own, named.index(test.file), -noticed.get(test.id, 0), test.seconds),
    )


def _noticed_by(code: int, said: str) -> str:
    """The test that failed, if any did."""
    if code == 0:
        return ""
    if found := re.search(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", said, re.MULTILINE):
        return found[1]
    if code == -signal.SIGALRM and (last := said.splitlines()[-1].strip()).startswith("tests/"):
        name, failed, _ = last.partition(" FAILED")
        return name if failed else f"{name} does not end"
    if "ImportError while loading conftest" in said:
        return "every test: it cannot be imported"
    raise RuntimeError(f"no test failed, and yet the run did, with {code}:\n{said[-2000:]}")


def verdicts(chosen: Iterable[tuple[str, Mutant]], tests: Sequence[Passed], workers: int) -> Iterator[Verdict]:
    """Try each mutant, in whatever order they end."""
    noticed: Counter[str] = Counter()
    jobs = (
        ((module, mutant), partial(_try, module, mutant, who_may_notice(module, mutant, tests, noticed)))
        for module, mutant in chosen
    )
    for (module, mutant), code, said in _each(jobs, workers):
        verdict = Verdict(module, mutant, _noticed_by(code, said))
        noticed[verdict.noticed_by] += 1
        yield verdict


def main(
    modules: list[str] = typer.Argument(default=None, help="only these; all where none is named"),  # noqa: B008
    workers: int = os.cpu_count() or 1,
) -> None:
    """Try all mutants and print what noticed each; fail if one is noticed by nobody."""
    sources = {name: file for name, file in SOURCES.items() if not modules or name in modules}
    console.print("First with nothing deleted: every test must pass, or a failure would prove nothing.")
    named = dict.fromkeys(name for source in sources for name in TESTS[source].split())
    tests = record([ROOT / "tests" / f"{name}.py" for name in named], workers)
    console.print(f"{len(tests)} tests pass.")
    chosen = [(name, mutant) for name, source in sources.items() for mutant in mutants(source.read_text())]
    seen = []
    for verdict in verdicts(chosen, tests, workers):
        seen.append(verdict)
        excuse = EXCUSED.get(verdict.name)
        good = bool(verdict.noticed_by) != bool(excuse)
        told = verdict.noticed_by or (f"excused: {excuse}" if excuse else "NOBODY NOTICES")
        where = f"{SOURCES[verdict.module].relative_to(ROOT)}:{verdict.mutant.line}"
        console.print(
            f"{'[green]✓' if good else '[red]✗'}[/] {len(seen):3}/{len(chosen)}  "
            f"{where}  [bold]{_plain(verdict.mutant.deleted)}[/]\n"
            f"           {_plain(told)}",
            soft_wrap=True,
        )
    unnoticed = [v.name for v in seen if not v.noticed_by and v.name not in EXCUSED]
    needless = [v.name for v in seen if v.noticed_by and v.name in EXCUSED]
    console.print(f"{len(seen)} checks deleted, {len(unnoticed)} unnoticed, {len(needless)} excused without need.")
    for name in unnoticed + needless:
        console.print(f"[red]{_plain(name)}[/]")
    sys.exit(1 if unnoticed or needless else 0)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    typer.run(main)
