"""Deletes every check of the library and of evidence, and proves for each that a test fails: `make mutations`.

First all tests run with nothing deleted: they must pass, and `coverage` records which lines each of them runs.  Then
each mutant (`lab/deletion.py`) gets a process of its own, forked from one that has the libraries loaded and nothing of
this project, and there the tests that run the deleted line, until the first one fails.  A mutant that none of them
notices has to be excused in `EXCUSED`, by name and with a reason; an excuse that is not needed is an error as well.
"""

import contextlib
import gc
import multiprocessing
import os
import re
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from unittest.mock import patch

import pytest
import pytest_asyncio.plugin
import syrupy
import typer
from coverage import Coverage, CoverageData
from rich.console import Console
from rich.markup import escape

from lab.deletion import mutant, mutants
from start.run import PACKAGES

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "zerotrust", ROOT / "authzen", ROOT / "evidence"


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removeprefix("zerotrust.")


SOURCES = {
    _module(file): file for folder in LIBRARY for file in sorted(folder.rglob("*.py")) if file.stem != "__init__"
}
TESTS = {
    "standalone.any_issuer": "services/test_any_issuer attacks/test_x_services attacks/test_rungs",
    "standalone.bound_service": "services/test_bound_service attacks/test_x_services",
    "authority.names": "unit/test_console services/test_console",
    "authority.visible": "unit/test_terminal unit/test_policy_unread",
    "authzen.client": "unit/test_authzen_client services/test_authzen",
    "evidence.export": "unit/test_verification attacks/test_y_audit_log",
    "evidence.fault": "unit/test_verification unit/test_comparison attacks/test_y_audit_log",
    "evidence.verification": "attacks/test_y_audit_log",
    "tlog.tree": "unit/test_tlog_tree unit/test_tlog_witness",
    "authority.log.tiles": "unit/test_tlog_tree unit/test_ledger_log",
    "authority.log.proofs": "unit/test_tlog_tree unit/test_tlog_witness",
    "tlog.note": "unit/test_tlog_note unit/test_tlog_witness",
    "tlog.checkpoint": "unit/test_tlog_note unit/test_tlog_witness",
    "tlog.quorum": "unit/test_tlog_note",
    "tlog.proof": "unit/test_tlog_note unit/test_tlog_golden unit/test_receipt_verification",
    "authority.ledger.cosignature": "unit/test_tlog_witness",
    "hardening.accepting": (
        "services/test_bundle services/test_accepting services/test_server attacks/test_o_keys_door "
        "attacks/test_o_costs input/test_wire"
    ),
    "agent.a2a": (
        "services/test_discovery services/test_reader services/test_clients faults/test_tasks "
        "services/test_orchestrator input/test_protocols attacks/test_j_a2a services/test_revocation "
        "input/test_values services/test_receipts attacks/test_d_replay"
    ),
    "orchestrator.agent_client": (
        "services/test_discovery services/test_clients services/test_orchestrator faults/test_tasks "
        "attacks/test_j_a2a services/test_revocation services/test_receipts"
    ),
    "adapters.answer": "unit/test_agent_loop services/test_clients services/test_orchestrator faults/test_tasks",
    "lifetime": "unit/test_outcome attacks/test_x_services attacks/test_g_revocation",
    "audit.counts": "unit/test_binding unit/test_gate faults/test_disk",
    "audit.forms": "unit/test_event input/test_values",
    "audit.canonical": "unit/test_event",
    "audit.event_parts": "unit/test_event unit/test_gate unit/test_api",
    "audit.event_types": "unit/test_event unit/test_gate",
    "audit.event": "unit/test_gate",
    "audit.tail": "unit/test_segments unit/test_delivery",
    "audit.delivery": "unit/test_segments",
    "audit.deletion": "attacks/test_y_deletion",
    "audit.log_client": "unit/test_delivery unit/test_deletion services/test_audit_authority",
    "audit.chain": "unit/test_journal unit/test_segments faults/test_disk services/test_zt_offline",
    "audit.record": "unit/test_journal unit/test_segments unit/test_leaf services/test_zt_offline",
    "receipts.receipt": "unit/test_receipts",
    "receipts.carried": "unit/test_receipts attacks/test_z_receipts",
    "receipts.calls": "unit/test_receipts services/test_receipts",
    "evidence.unproven": "unit/test_receipt_verification",
    "evidence.verified_receipt": "unit/test_receipt_verification attacks/test_z_receipts",
    "evidence.accepted": "unit/test_receipt_verification services/test_receipts",
    "evidence.call_tree": "unit/test_receipt_verification attacks/test_z_receipts",
    "evidence.signing_time": "unit/test_receipt_verification attacks/test_z_receipts",
    "evidence.completeness": "unit/test_receipt_verification attacks/test_z_receipts services/test_receipts",
    "evidence.participants": "unit/test_receipt_verification attacks/test_z_receipts",
    "sealing": "unit/test_receipts unit/test_outcome unit/test_gate services/test_receipts",
    "authority.ledger.note_key": "unit/test_durable",
    "audit.journal": "unit/test_segments faults/test_disk unit/test_gate unit/test_delivery",
    "audit.segments": "unit/test_journal faults/test_disk unit/test_gate faults/test_every_call",
    "audit.recorder": (
        "unit/test_outcome unit/test_gate unit/test_api faults/test_disk unit/test_gate_order services/test_server"
    ),
    "authority.budget": "unit/test_containers services/test_audit_authority",
    "limits.bounded": "unit/test_exchange unit/test_policy services/test_discovery",
    "limits.answers": (
        "unit/test_jwks faults/test_issuer unit/test_exchange unit/test_egress unit/test_introspection "
        "services/test_discovery"
    ),
    "checks": (
        "unit/test_gate_order unit/test_binding unit/test_gate attacks/test_d_replay attacks/test_o_costs "
        "attacks/test_a_credentials attacks/test_i_mcp unit/test_counts services/test_receipts docs/test_reference"
    ),
    "call": (
        "unit/test_outcome unit/test_gate unit/test_binding unit/test_receipts unit/test_revoked_caller "
        "unit/test_gate_order services/test_receipts services/test_documents"
    ),
    "adapters.agent_card": "unit/test_digests services/test_reader attacks/test_j_a2a",
    "clock": "faults/test_clock",
    "issuer.discovery": "attacks/test_k_keys",
    "issuer.introspection": "services/test_revocation",
    "issuer.client": "unit/test_exchange unit/test_introspection faults/test_issuer services/test_administration",
    "hardening.pools": "unit/test_outside unit/test_runtime attacks/test_u_registration attacks/test_w_answers",
    "context": "unit/test_gate unit/test_binding",
    "decision": "unit/test_gate",
    "dialect": "input/test_protocols unit/test_gate attacks/test_i_mcp",
    "errors": "unit/test_decision",
    "issuer.exchange": "faults/test_clock faults/test_issuer attacks/test_f_tokens",
    "gate": (
        "unit/test_api unit/test_revoked_caller unit/test_binding unit/test_decision unit/test_outcome "
        "unit/test_counts input/test_handlers input/test_values attacks/test_o_costs attacks/test_a_credentials "
        "attacks/test_i_mcp attacks/test_d_replay unit/test_gate_order services/test_receipts "
        "services/test_revocation"
    ),
    "identity": "unit/test_token_validation unit/test_gate",
    "transport.requests": "unit/test_gate input/test_wire attacks/test_a_credentials unit/test_gate_order",
    "hardening.in_flight": "unit/test_gate attacks/test_u_registration",
    "transport.jsonrpc": "unit/test_gate input/test_protocols attacks/test_i_mcp",
    "issuer.jwks": "faults/test_issuer attacks/test_b_jose attacks/test_k_keys",
    "registry.snapshot": "unit/test_outside unit/test_policy_bundle unit/test_feed unit/test_pools",
    "authority.files.lock": "unit/test_register",
    "authority.files.consistency": "unit/test_registry",
    "transport.logs": "input/test_values faults/test_disk",
    "tool.mcp_tools": "unit/test_routes unit/test_gate input/test_handlers attacks/test_i_mcp attacks/test_e_scope",
    "transport.egress": (
        "unit/test_callee faults/test_tasks services/test_story services/test_revocation attacks/test_w_answers "
        "services/test_receipts"
    ),
    "policy_in_force": "services/test_registry_policies attacks/test_t_policies",
    "policy": "unit/test_entities unit/test_policy_fit unit/test_policy_unread unit/test_gate attacks/test_e_scope",
    "transport.responses": (
        "unit/test_gate unit/test_revoked_caller unit/test_decision input/test_handlers input/test_values "
        "services/test_orchestrator services/test_server services/test_receipts"
    ),
    "authority.files.deployment": "unit/test_snapshot",
    "authority.files.snapshot_files": "unit/test_snapshot unit/test_register",
    "registry.model": "unit/test_outside unit/test_registry unit/test_realm",
    "authority.files.reading": "unit/test_registry unit/test_snapshot",
    "routing": "unit/test_routes unit/test_gate input/test_values attacks/test_a_credentials attacks/test_x_services",
    "routes": "unit/test_binding unit/test_gate services/test_registry_authority attacks/test_a_credentials",
    "hardening.server": "services/test_server unit/test_pools input/test_wire",
    "app": "services/test_orchestrator input/test_handlers input/test_values unit/test_api",
    "decider": (
        "unit/test_api unit/test_gate services/test_documents services/test_revocation services/test_authzen "
        "attacks/test_x_engines services/test_receipts"
    ),
    "service": (
        "services/test_discovery services/test_revocation services/test_server services/test_orchestrator "
        "input/test_handlers services/test_documents input/test_values attacks/test_g_feed unit/test_api "
        "attacks/test_x_services unit/test_registry services/test_every_party services/test_receipts"
    ),
    "registry.events": "unit/test_feed services/test_registry_authority",
    "registry.feed": "unit/test_snapshot_used_once services/test_registry_authority attacks/test_t_policies",
    "registry.policy_bundle": "unit/test_policy",
    "registry.topics": "unit/test_feed unit/test_snapshot",
    "spiffe.records": "unit/test_tls",
    "spiffe.statement": "unit/test_agent_card",
    "revocation": "unit/test_callee",
    "authority.bounded_file": "unit/test_bounded_files unit/test_registry",
    "authority.files.strict_yaml": "unit/test_registry",
    "limits.strict_json": "unit/test_token_validation unit/test_gate fuzz/test_properties attacks/test_b_jose",
    "spiffe.svid": "unit/test_tls unit/test_statement",
    "agent.agent_loop": "services/test_reader services/test_writer attacks/test_l_model",
    "agent.model_client": "unit/test_agent_loop services/test_orchestrator faults/test_tasks",
    "adapters.model_choice": "unit/test_agent_loop services/test_reader",
    "agent.tool_client": (
        "unit/test_agent_loop unit/test_digests services/test_discovery services/test_reader services/test_writer "
        "faults/test_tasks services/test_story attacks/test_l_model attacks/test_i_mcp"
    ),
    "spiffe.tls": "unit/test_outside unit/test_pools attacks/test_u_registration",
    "tool.mcp": (
        "services/test_documents input/test_handlers input/test_protocols attacks/test_i_mcp attacks/test_e_scope"
    ),
    "shielded": "services/test_notify services/test_documents",
    "hardening.turns": "attacks/test_o_costs",
    "token_validation": (
        "unit/test_gate unit/test_revoked_caller faults/test_clock attacks/test_c_claims attacks/test_b_jose"
    ),
    "revocation_list": "unit/test_revocation services/test_operator_revocations",
    "spiffe.workload": "services/test_attestation",
}
"""The tests of each module, beside those that have its name and `unit/test_imports`; the likeliest to notice first.

What none of them notices, nobody does."""

EXCUSED = {
    "adapters.answer: super().__init__(message)": "Python keeps what an exception is made with before that is called",
    "orchestrator.agent_client: streaming=False": "the card has said so already",
    "call: self.last is not None": "for the type checker: nothing was sent last where nothing was sent first",
    "transport.responses: super().__init__(status_code=refusal.status)": (
        "nobody looks into an answer that sends itself"
    ),
    "spiffe.tls: b''": "for the type checker: a server shows a certificate in each handshake",
    "spiffe.tls: if sys.version_info >= (3, 13):": "the other way does the same; this one is public",
    "hardening.server: isinstance(other, Protocol)": "for the type checker: there are no other connections",
    "routing: if (exact := self._exact.get((scope['method'], scope['path']))):": "it is quicker not to ask the router",
    "tool.mcp: type(one).__name__ != 'OpenTelemetryMiddleware'": "it is quicker without spans for nobody",
    "runtime: 443": "for the type checker: an address has the port of its scheme",
    "service: Calls()": "for the type checker: whoever exchanges was verified, and is noted",
    "checks: PEOPLE": "no name is a name as well in the count; this one is for the record",
    "checks: eq=False": "it is quicker: no two gates have the same journal",
    "gate: eq=False": "as for its base",
    "sealing: call.first is not None": "for the type checker: the start of an answer comes first",
    "revocation: eq=False": "it is quicker: no two watches have the same functions",
    "service: strict=True": "an engine answers each question",
    "spiffe.workload: bundle is None": "for the type checker: what comes next fails as well",
    "routing: ''": "for the type checker: no row has a path that is none",
    "registry.feed: if kind is None:": "whatever cannot be read has the same effect; this says what it was",
    "revocation_list: if not self._until:": "where there are no times, none is found; it is quicker not to look",
    "agent.a2a: given.get('jsonrpc') == '2.0'": "the SDK asks for it as well",
    "agent.agent_loop: not did": "no call of a tool that is not offered succeeds",
    "tool.mcp: ()": "for the type checker: the server listens at an address",
    "agent.tool_client: if self._checked == (approved, listed):": "it is quicker not to compare the same again",
    "audit.canonical: extra='forbid'": "what has another field has other canonical bytes: they are compared next",
    "audit.canonical: strict=True": "as for the other fields",
    "audit.event: discriminator='type'": "each kind has a type of its own; it is quicker not to try the others",
    "audit.chain: file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_LINE - 2))": "it is quicker not to read the rest",
    "audit.forms: if text.isascii() and text.isprintable() and ('\\\\' not in text) and ('eyJ' not in text):": (
        "it is quicker not to escape what stays the same"
    ),
    "hardening.server: peer.id": "connections are counted within their own party; its name is a second line",
    "hardening.server: not self.transport.is_closing()": "it is not asked twice to close",
    "hardening.pools: self._reader.at_eof()": "for the lab: only without TLS does a connection stay open at its end",
    "transport.requests: if (ours := _TRACEPARENT.fullmatch(given[0])):": "it is quicker not to ask the library",
    "evidence.completeness: if marked not in line and spans.isdisjoint(_SPAN.findall(line)):": (
        "it is quicker not to parse what says nothing of the transaction"
    ),
    "evidence.completeness: if not any((word.encode() in line for word in (*found, *found[TOO_FAST]))):": (
        "it is quicker not to parse what says nothing of a refused journal"
    ),
    "audit.journal: if not self._asked and (not self._riders):": "it is quicker not to commit nothing",
    "audit.journal: strict=True": "the segments return a link for each record",
    "context: super().__init__()": "a set is empty without it",
    "limits.bounded: super().__init__()": "a dictionary is empty without it",
    (
        "limits.strict_json: if closed <= opened <= MAX_DEPTH and "
        "(most is None or opened + text.count(b',') + text.count(b':') <= most):"
    ): "it is quicker not to look for strings",
    "limits.strict_json: opened + text.count(b',') + text.count(b':') <= most": "as for the whole condition",
    "checks: name is None": "for the type checker: no route admits a party without a name",
    "tool.mcp: stateless_http=True": "only requests of an older era have sessions, and the gate refuses them",
}
"""`module: deleted` to why nobody can notice that it is gone."""

LONGEST = 90
"""Seconds that a test may take: what hangs is noticed by it, and a busy machine is no hang."""

console = Console(highlight=False)


def _pytest(*options: str, plugins: tuple[object, ...] = ()) -> int:
    # An attack on a system that lacks a control proves nothing here.
    chosen = ["-m", "not e2e", "-k", "not succeeds"]
    hangs = ["-o", f"faulthandler_timeout={LONGEST}", "-o", "faulthandler_exit_on_timeout=true"]
    # The libraries are there already, so pytest cannot rewrite the assertions in them, nor need it.
    quiet = ["-x", "-v", "--tb=line", "-p", "no:cacheprovider", "-W", "ignore:Module already imported"]
    plugins = (*plugins, pytest_asyncio.plugin, syrupy)
    return int(pytest.main([*quiet, *chosen, *hangs, *options], plugins))


class _Recorder:
    """Records which lines each test of a file runs, and which the file's imports and fixtures run for all of them."""

    def __init__(self, file: str, data: str) -> None:
        self._file, self._coverage = (
            file,
            Coverage(data, include=[f"{folder}/*" for folder in LIBRARY], config_file=False),
        )
        self._coverage.start()
        self._coverage.switch_context(file)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._coverage.switch_context(self._file)

    def pytest_unconfigure(self) -> None:
        self._coverage.stop()
        self._coverage.save()


def record(file: str, data: str) -> int:
    """Run a file of tests with nothing deleted, and write to `data` which lines they run."""
    return _pytest(file, plugins=(_Recorder(file, data),))


def attempt(module: str, number: int, tests: list[str]) -> int:
    """Run those tests on the module's mutant of that number."""
    if not tests:
        return 0
    deleted = compile(mutant(SOURCES[module].read_text(), number).tree, SOURCES[module], "exec")
    load = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        return deleted if name.removeprefix("zerotrust.") == module else load(self, name)

    with patch.object(SourceFileLoader, "get_code", get_code):
        return _pytest(*tests)


def _forked(work: Callable[[], int]) -> tuple[int, str]:
    """Do it in a child process: its exit code, and what it said."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        if not (child := os.fork()):
            code = 1
            try:
                os.setsid()
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                code = work()
            except BaseException:  # noqa: BLE001 - nothing gets out of here, least of all into the parent's own stack
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # until it is reaped, nobody else gets its number
        with contextlib.suppress(ProcessLookupError):  # it may have ended before it had a group of its own
            os.killpg(child, signal.SIGKILL)  # whatever it started ends with it
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read()


def load_libraries() -> None:
    """Import all that library and tests import, but for this project's own modules."""
    sources = [file.read_text() for folder in (*LIBRARY, ROOT / "tests") for file in folder.rglob("*.py")]
    names = {name for text in sources for name in re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE)}
    with warnings.catch_warnings(action="ignore"):
        for name in sorted(names):
            if name.partition(".")[0] not in PACKAGES:
                with contextlib.suppress(ImportError):  # a line of a text that begins like that, or not for this system
                    import_module(name)
    gc.freeze()  # or each process goes through all of it when a test run ends


Forked = Iterable[tuple[int, str]]


def recorded(files: list[str], each: Callable[[Iterable[Callable[[], int]]], Forked]) -> CoverageData:
    """Which lines the tests of these files run.  Ends the program where one fails by itself."""
    with tempfile.TemporaryDirectory() as folder:
        lines = CoverageData(no_disk=True)
        data = {file: f"{folder}/{number}" for number, file in enumerate(files)}
        for file, (code, said) in zip(files, each(partial(record, *one) for one in data.items()), strict=True):
            if code:
                sys.exit(f"{file} fails by itself:\n{said}")
            found = CoverageData(data[file])
            found.read()
            lines.update(found)
        return lines


def files_of(module: str) -> list[str]:
    """The files of its tests, the one of its name first."""
    own = f"unit/test_{module.rpartition('.')[2]}"
    found = [f"tests/{name}.py" for name in (own, *TESTS.get(module, "").split(), "unit/test_imports")]
    return found if (ROOT / found[0]).exists() else found[1:]


def who_may_notice(module: str, lines: range, data: CoverageData) -> list[str]:
    """The tests that run those lines, file by file; all of a file whose imports or fixtures do."""
    contexts = data.contexts_by_lineno(str(SOURCES[module]))
    ran = dict.fromkeys(context for line in lines for context in contexts.get(line, ()))
    return [
        test
        for file in files_of(module)
        for test in ([file] if file in ran else [one for one in ran if one.startswith(f"{file}::")])
    ]


def _noticed_by(code: int, said: str) -> str:
    """The test that failed, if any did."""
    if code == 0:
        return ""
    if found := re.search(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", said, re.MULTILINE):
        return found[1]
    if "Timeout (" in said:
        return [line for line in said.splitlines() if line.startswith("tests/")][-1].strip() + " does not end"
    if "ImportError while loading conftest" in said:
        return "every test: it cannot be imported"
    raise RuntimeError(f"no test failed, and yet the run did, with {code}:\n{said[-2000:]}")


def main(
    modules: list[str] = typer.Argument(default=None, help="only these; all where none is named"),  # noqa: B008
    workers: int = os.cpu_count() or 1,
) -> None:
    """Try all mutants and print what noticed each; fail if one is noticed by nobody."""
    chosen = [(name, one) for name in modules or SOURCES for one in mutants(SOURCES[name].read_text())]
    wrong = []
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take longer than most tests, and none needs them
    load_libraries()
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        each = partial(pool.imap, _forked)
        console.print("First with nothing deleted: every test must pass, or a failure would prove nothing.")
        lines = recorded([*dict.fromkeys(file for name in modules or SOURCES for file in files_of(name))], each)
        tried = each(partial(attempt, name, one.number, who_may_notice(name, one.lines, lines)) for name, one in chosen)
        for number, ((module, one), ended) in enumerate(zip(chosen, tried, strict=True), 1):
            noticed, excuse = _noticed_by(*ended), EXCUSED.get(f"{module}: {one.deleted}")
            good = bool(noticed) != bool(excuse)
            told = noticed or (f"excused: {excuse}" if excuse else "NOBODY NOTICES")
            if not good:
                wrong.append(f"{module}: {one.deleted}" + (" (excused without need)" if excuse else ""))
            console.print(
                f"{'[green]✓' if good else '[red]✗'}[/] {number:3}/{len(chosen)}  {module}:{one.lines[0]}  "
                f"[bold]{escape(one.deleted)}[/]\n           {escape(told)}",
                soft_wrap=True,
            )
    console.print(f"{len(chosen)} checks deleted, {len(wrong)} unnoticed or excused without need.")
    for name in wrong:
        console.print(f"[red]{escape(name)}[/]")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
