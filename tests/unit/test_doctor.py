"""`make doctor`: what each fact means, and what the report says of it."""

import ast
import json
import os
import re
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from authorities.registry import revocations
from deploy.setup import STALE
from local import keycloak_distribution, keycloak_options
from scripts.diagnosis import containers, docker, issuer, local, logs, machine, order, ports
from scripts.diagnosis.containers import Container
from scripts.diagnosis.docker import Docker
from scripts.diagnosis.gather import commands
from scripts.diagnosis.gather.local import DATABASE, _failed, suspended
from scripts.diagnosis.issuer import Answer
from scripts.diagnosis.local import Local
from scripts.diagnosis.machine import Disk, Machine
from scripts.diagnosis.order import Facts
from scripts.diagnosis.ports import Port
from scripts.diagnosis.project import OF_LLAMA_STACK, ONCE, SERVICES, project
from scripts.diagnosis.report import WIDTH, report
from scripts.diagnosis.suspended import DRIFT, Suspended
from scripts.diagnosis.verdict import State, Verdict, cause, note, ok, skipped, wrong
from tests.support.system import ROOT
from zerotrust.token_validation import CLOCK_SKEW

NOW = 1_800_000_000.0
MACHINE = Machine(
    system="Linux",
    kernel="6.18",
    python="3.13.1",
    installer=True,
    pidfd=True,
    peer_pidfd=True,
    suid_dumpable="0",
    memfd_noexec="0",
    cores=2,
    load=1.0,
    memory=8000,
    available=4000,
    now=NOW,
    newest=NOW - 60,
    newest_name="the last commit",
)
DOCKER = Docker(
    server="28.1.0",
    compose="v2.40.3",
    buildx="v0.29.1",
    driver="overlay2",
    security=("name=seccomp,profile=builtin", "name=cgroupns"),
    runtime="runc",
    system="Debian",
    memory=8000,
)
ISSUER = "https://localhost:8443/realms/agents"
ANSWER = Answer(
    ca_file="attestation's volume",
    ca_ends=NOW + 30 * 86400,
    certificate_ends=NOW + 30 * 86400,
    status=200,
    issuer=ISSUER,
    clock_ahead=0.0,
)
HEALTHY = [
    Container(name, "exited") if name == ONCE else Container(name, "running", health="healthy") for name in SERVICES
]


def shown(verdict: Verdict) -> tuple[State, str]:
    return verdict.state, f"{verdict.said} | {verdict.repair}"


def container(name: str, status: str, **facts: Any) -> list[Container]:
    """All containers as they should be, but one."""
    return [Container(name, status, **facts) if one.service == name else one for one in HEALTHY]


# --- what each fact means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        ({}, State.OK, "Linux 6.18"),
        ({"peer_pidfd": False, "kernel": "5.15"}, State.NOTE, "before 6.5"),
        ({"pidfd": False}, State.WRONG, "pidfd_open"),
        ({"suid_dumpable": "1"}, State.WRONG, "sudo sysctl fs.suid_dumpable=0"),
        ({"suid_dumpable": "2"}, State.OK, ""),
        ({"memfd_noexec": "2"}, State.WRONG, "sudo sysctl vm.memfd_noexec=1"),
        ({"memfd_noexec": "1"}, State.OK, ""),
        ({"system": "Darwin", "pidfd": False}, State.WRONG, "docker compose up --wait"),
    ],
)
def test_the_kernel_has_what_attestation_needs(facts: dict[str, Any], state: State, words: str) -> None:
    found, text = shown(machine.kernel(replace(MACHINE, **facts), local=True))

    assert (found, words in text) == (state, True), text


def test_another_system_than_linux_is_no_fault_for_containers() -> None:
    assert machine.kernel(replace(MACHINE, system="Darwin", pidfd=False), local=False).state is State.NOTE


def test_without_uv_and_pip_only_make_has_a_problem() -> None:
    bare = replace(MACHINE, installer=False)

    assert machine.python(bare, local=True).state is State.WRONG
    assert machine.python(bare, local=False).state is State.OK


@pytest.mark.parametrize(
    ("behind", "state"), [(0, State.OK), (machine.CLOCK_BEHIND, State.OK), (machine.CLOCK_BEHIND + 1, State.WRONG)]
)
def test_a_clock_before_the_projects_own_files_is_wrong(behind: float, state: State) -> None:
    assert machine.clock(replace(MACHINE, newest=NOW + behind)).state is state


@pytest.mark.parametrize(
    ("facts", "running", "state"),
    [
        ({}, False, State.OK),
        ({"available": 1399}, False, State.WRONG),
        ({"available": 1399}, True, State.OK),
        ({"memory": 1399}, True, State.WRONG),
        ({"cores": 1}, False, State.NOTE),
    ],
)
def test_memory_is_enough_for_what_will_be_started(facts: dict[str, Any], running: bool, state: State) -> None:
    assert machine.memory(replace(MACHINE, **facts), ["local"], running=running).state is state


def test_the_folder_without_room_is_named() -> None:
    found = machine.disk([Disk("/a", 100, 100, "here"), Disk("/b", 99, 100, "for images")])

    assert found.state is State.WRONG
    assert found.said.startswith("/b has 99 MB free, and 100 MB are needed for images")


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        ({}, State.OK, "28.1.0"),
        ({"server": "19.03.5"}, State.NOTE, "20.10"),
        ({"installed": False, "answers": False}, State.WRONG, "not installed"),
        ({"answers": False, "said": "permission denied while trying to connect to"}, State.WRONG, "usermod -aG docker"),
        ({"answers": False, "said": "Cannot connect to the Docker daemon at"}, State.WRONG, "systemctl start docker"),
        ({"answers": False, "said": ""}, State.WRONG, "does not answer in time"),
        ({"answers": False, "said": "Cannot connect", "place": "tcp://x:1"}, State.WRONG, "unset DOCKER_HOST"),
        ({"answers": False, "said": "client version 1.50 is too new"}, State.WRONG, "client version 1.50 is too new"),
    ],
)
def test_docker_answers_or_the_reason_is_named(facts: dict[str, Any], state: State, words: str) -> None:
    found, text = shown(docker.answers(replace(DOCKER, **facts)))

    assert (found, words in text) == (state, True), text


def test_a_busy_machine_is_said_to_be_slow_and_no_cause() -> None:
    assert machine.load(MACHINE).state is State.OK
    assert shown(machine.load(replace(MACHINE, load=39)))[0] is State.NOTE


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"compose": ""}, State.WRONG),
        ({"compose": "2.6.1"}, State.WRONG),
        ({"compose": "2.7.0"}, State.OK),
        ({"compose": "v5.0.1-desktop.1"}, State.OK),
        ({"buildx": "", "built": False}, State.OK),
        ({"buildx": "0.13.1+ds1", "built": False}, State.WRONG),
        ({"buildx": "0.13.1", "built": True}, State.NOTE),
        ({"buildx": "0.13.1", "built": False, "compose": "2.40.1"}, State.OK),
    ],
)
def test_compose_is_new_enough(facts: dict[str, Any], state: State) -> None:
    assert docker.compose(replace(DOCKER, **facts)).state is state


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        ({}, State.OK, "overlay2"),
        ({"driver": "overlayfs"}, State.OK, ""),
        ({"driver": "btrfs"}, State.WRONG, "storage-driver"),
        ({"security": ("name=seccomp,profile=builtin", "name=userns")}, State.WRONG, "userns-remap"),
        ({"security": ("name=cgroupns",)}, State.WRONG, "seccomp"),
        ({"security": ("name=seccomp,profile=unconfined",)}, State.WRONG, "seccomp"),
        ({"security": ("name=seccomp,profile=builtin", "name=apparmor")}, State.NOTE, "apparmor: not tried"),
        ({"security": ("name=seccomp,profile=builtin", "name=rootless")}, State.NOTE, "rootless: not tried"),
        ({"runtime": "sysbox-runc"}, State.WRONG, "Enhanced Container Isolation"),
    ],
)
def test_attestation_can_work_on_this_docker(facts: dict[str, Any], state: State, words: str) -> None:
    found, text = shown(docker.isolation(replace(DOCKER, **facts)))

    assert (found, words in text) == (state, True), text


def test_dockers_own_machine_may_be_too_small() -> None:
    assert docker.memory(DOCKER) is None
    found = docker.memory(replace(DOCKER, memory=1499))
    assert found
    assert found.state is State.WRONG


PORT = Port(8443, {"containers": "keycloak", "local": "Keycloak"})


@pytest.mark.parametrize(
    ("port", "process", "state", "words"),
    [
        (PORT, None, State.OK, "free: 8443"),
        (replace(PORT, taken=True), None, State.WRONG, "sudo ss -ltnp 'sport = :8443'"),
        (replace(PORT, taken=True, process=4711, program="nginx"), None, State.WRONG, "nginx (process 4711); "),
        (replace(PORT, taken=True, process=7, program="java", folder="/b"), None, State.WRONG, "in /b"),
        (replace(PORT, taken=True, process=9, program="docker-proxy"), None, State.WRONG, "docker ps"),
        (replace(PORT, taken=True, container="web", process=9), None, State.WRONG, "docker stop web"),
        (replace(PORT, taken=True, container="a-keycloak-1", ours=True), None, State.OK, "in use by us: 8443"),
        (replace(PORT, taken=True, process=9), 4711, State.WRONG, "make down"),
    ],
)
def test_a_port_is_free_or_ours_or_its_holder_is_named(
    port: Port, process: int | None, state: State, words: str
) -> None:
    found, text = shown(ports.ports([port], {"containers"}, local_process=process))

    assert (found, words in text) == (state, True), text


def test_a_port_of_the_other_way_does_not_matter() -> None:
    other = Port(8102, {"local": "agent/reader"}, taken=True)

    assert ports.ports([other], {"containers"}, local_process=None).state is State.OK
    assert ports.ports([other], {"local"}, local_process=4711).state is State.OK
    assert ports.ports([other], {"local"}, local_process=None).state is State.WRONG


def test_our_own_containers_hinder_only_the_other_way() -> None:
    held = replace(PORT, taken=True, container="a-keycloak-1", ours=True)

    assert shown(ports.ports([held], {"local"}, local_process=None))[1].endswith("docker compose down")


REFUSED = json.dumps({"event": "refused", "why": "its environment has 'HTTP_PROXY'"})


@pytest.mark.parametrize(
    ("found", "about", "words"),
    [
        (container("reader", "exited", exit_status=143), "reader", "was stopped (status 143)"),
        (container("reader", "running", health="unhealthy", log=("a", "no way")), "reader", "not healthy: no way"),
        (container("reader", "running", health="starting", seconds=9), "reader", "is starting, for 9 s"),
        (container("reader", "paused"), "reader", "docker compose unpause reader"),
        (container("reader", "exited", exit_status=137, out_of_memory=True), "reader", "out of memory"),
        (
            container("reader", "exited", exit_status=128, error="address in use", log=("x",)),
            "reader",
            "address in use",
        ),
        (container("keycloak", "created", error="address in use"), "keycloak", "was not started: address in use"),
        (container("keycloak", "restarting", exit_status=1, log=("ERROR: no", "x")), "keycloak", "status 1: ERROR: no"),
        (container("attestation", "restarting", exit_status=1, log=("attestation: old",)), "attestation", "old"),
        ([one for one in HEALTHY if one.service != "writer"], "writer", "was not started"),
    ],
)
def test_the_service_that_does_not_work_is_named_with_its_reason(
    found: list[Container], about: str, words: str
) -> None:
    first = cause(containers.services(found, ""))

    assert first
    assert first.about == about
    assert words in shown(first)[1]


def test_with_a_llama_stack_server_its_services_count_and_the_repair_names_both_files() -> None:
    both = [*HEALTHY, *(replace(HEALTHY[-1], service=name) for name in OF_LLAMA_STACK)]
    [verdict] = containers.services(both, "")
    assert shown(verdict)[1].startswith(f"{len(both)} of {len(both)} work")

    first = cause(containers.services([one for one in both if one.service != "llama-stack"], ""))
    assert first
    assert (first.about, first.repair) == ("llama-stack", containers.UP_WITH_SERVER)


def test_what_docker_itself_forbids_has_its_remedy() -> None:
    error = "sysbox containers can't share namespaces [pid] with the host"
    first = cause(containers.services(container("attestation", "created", error=error), ""))

    assert first
    assert "Enhanced Container Isolation" in first.repair


def test_a_party_without_identity_is_told_with_what_attestation_refused() -> None:
    found = container("attestation", "running", health="healthy", log=("x", REFUSED, "[1]"))
    found = [
        replace(one, health="unhealthy", log=('{"text": "no SVID: gRPC error: StatusCode.PERMISSION_DENIED"}',))
        if one.service == "reader"
        else one
        for one in found
    ]
    first = cause(containers.services(found, ""))

    assert first
    assert first.about == "reader"
    assert "HTTP_PROXY" in first.said
    assert "~/.docker/config.json" in first.repair


def test_what_does_not_start_comes_before_what_waits_for_it() -> None:
    broken = {
        "attestation": Container("attestation", "restarting", exit_status=1, log=("attestation: a party: missing",))
    }
    waiting = {name: Container(name, "created") for name in ("database", "keycloak")}

    verdicts = containers.services([(broken | waiting).get(one.service, one) for one in HEALTHY], "")

    first = cause(verdicts)
    assert first
    assert first.about == "attestation"
    assert verdicts[-1].state is State.NOTE


def test_of_several_refusals_a_partys_own_is_told_and_equal_ones_once() -> None:
    events = [{"event": "refused", "why": f"reason {pid}", "pid": pid} for pid in (7, 8, 9)]
    log = tuple(json.dumps(event) for event in events)
    refused = ("no SVID: gRPC error: StatusCode.PERMISSION_DENIED",)
    found = [
        replace(one, health="unhealthy", log=refused, pid={"reader": 8}.get(one.service, 0))
        if one.service in ("reader", "writer", "inference")
        else one
        for one in container("attestation", "running", health="healthy", log=log)
    ]
    said = {verdict.about: verdict.said for verdict in containers.services(found, "")}

    assert said["reader"] == "has no identity; attestation refuses it: reason 8"
    assert said["writer"] == "has no identity; the last that attestation refused: reason 9"
    assert said["inference"] == "the same as writer"


def test_refused_strangers_are_no_fault_while_all_works() -> None:
    found = container("attestation", "running", health="healthy", log=(REFUSED,))
    verdicts = containers.services(found, "")

    assert cause(verdicts) is None
    assert [verdict.about for verdict in verdicts] == ["containers", "refusals"]


def test_what_depends_on_the_first_failure_is_no_further_cause() -> None:
    stale = Container(ONCE, "exited", exit_status=1, log=tuple(STALE.splitlines()))
    later = [Container("database", "created"), Container("keycloak", "created")]
    verdicts = containers.services([stale, *later], "")

    assert containers.realm([stale]).repair.startswith(containers.ANEW)
    assert cause(verdicts) is None
    assert "database" in {verdict.about for verdict in verdicts if verdict.state is State.SKIPPED}


def test_of_the_starts_that_failed_the_last_one_is_told(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("second", "last", "first")]
    for file, at in zip(files, (2, 3, 1), strict=True):
        file.write_text(file.name)
        os.utime(file, (at, at))

    assert _failed(files).endswith(") last")


def test_what_still_starts_is_no_cause_beside_what_has_failed() -> None:
    found = [
        replace(one, health="starting") if one.service == "keycloak" else one for one in container("writer", "paused")
    ]
    verdicts = containers.services(found, "")

    assert [verdict.about for verdict in verdicts if verdict.state is State.WRONG] == ["writer"]
    assert "is starting" in next(verdict.said for verdict in verdicts if verdict.about == "keycloak")


def test_a_stack_of_another_folder_is_told() -> None:
    found = [replace(one, folder="/elsewhere") for one in HEALTHY]

    assert "/elsewhere" in containers.services(found, "/here")[-1].said
    assert "/elsewhere" not in containers.services(found, "/elsewhere")[-1].said


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        ({}, State.OK, "30 more days"),
        ({"ca_file": ""}, State.SKIPPED, ""),
        ({"verify_code": 10}, State.WRONG, "Keycloak's certificate has expired"),
        ({"verify_code": 9}, State.WRONG, "timedatectl"),
        ({"verify_code": 20}, State.WRONG, "another run"),
        ({"ca_ends": NOW - 1}, State.WRONG, "the CA's certificate has expired"),
        ({"certificate_ends": NOW + 86400}, State.NOTE, "docker compose restart attestation"),
        ({"certificate_ends": 0, "problem": "Connection refused"}, State.SKIPPED, ""),
        ({"old_copy": "ca.pem"}, State.NOTE, "docker compose cp attestation:/public/ca.pem ."),
    ],
)
def test_certificates_are_valid_and_belong_together(facts: dict[str, Any], state: State, words: str) -> None:
    found, text = shown(issuer.certificates(replace(ANSWER, **facts), NOW, "containers"))

    assert (found, words in text) == (state, True), text


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        ({}, State.OK, ISSUER),
        ({"problem": "Connection refused"}, State.WRONG, "Connection refused"),
        ({"status": 404}, State.WRONG, "the realm was not imported"),
        ({"issuer": "https://keycloak:8443/realms/agents"}, State.WRONG, "calls itself https://keycloak:8443"),
        ({"verify_code": 10}, State.SKIPPED, "certificate"),
    ],
)
def test_the_issuer_answers_under_its_one_name(facts: dict[str, Any], state: State, words: str) -> None:
    found, text = shown(issuer.issuer(replace(ANSWER, **facts), ISSUER, "containers", ready=True))

    assert (found, words in text) == (state, True), text


@pytest.mark.parametrize(("ahead", "fault"), [(None, False), (0, False), (-6, False), (6.5, True), (-3600, True)])
def test_two_clocks_that_differ_are_the_cause(ahead: float | None, fault: bool) -> None:
    assert (issuer.clock(replace(ANSWER, clock_ahead=ahead)) is not None) == fault


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        ({"process": 4711}, State.OK, "4711"),
        ({}, State.NOTE, "nothing runs"),
        ({"failed": "(2026-11-29 18:00) Port 8103 is in use"}, State.WRONG, "(2026-11-29 18:00) Port 8103 is in use"),
        ({"process": 4711, "folder": "run", "silent": (("agent/reader", "no"),)}, State.WRONG, "logs/agent-reader.log"),
    ],
)
def test_the_system_on_this_machine_listens(facts: dict[str, Any], state: State, words: str) -> None:
    found, text = shown(local.system(Local(**facts))[0])

    assert (found, words in text) == (state, True), text


def test_another_keycloak_is_refused_before_the_start() -> None:
    assert local.needs(Local(keycloak_home="/k", keycloak_version="26.8.0")).repair == "unset KEYCLOAK_HOME"
    assert local.needs(Local(keycloak_home="/k", keycloak_version=local.KEYCLOAK)).state is State.NOTE
    assert local.needs(Local(cached=True, environment=True)).state is State.OK


def test_the_suspended_are_read_from_what_the_last_run_kept(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "revocations.db")) as database:
        database.execute("CREATE TABLE changes (number INTEGER, at FLOAT, kind TEXT, name TEXT, cause TEXT)")
        rows = [
            (1, "party", "spiffe://agents.example/agent/reader", "changed"),
            (2, "party", "spiffe://agents.example/agent/writer", "changed"),
            (3, "party", "spiffe://agents.example/agent/writer", None),
            (4, "user", "mallory", "operator"),
            (5, "party", "spiffe://agents.example/authority/registry", "changed"),
        ]
        database.executemany("INSERT INTO changes VALUES (?, 0, ?, ?, ?)", rows)
        database.commit()

    assert suspended(tmp_path / "revocations.db") == (("agent/reader", "changed"),)
    assert suspended(tmp_path / "none.db") == ()
    (tmp_path / "spoiled.db").write_text("no database at all" * 100)
    assert suspended(tmp_path / "spoiled.db") is None


SUSPENDED = (("agent/reader", "theft"), ("agent/writer", "theft"))
REINSTATE = "zt party reinstate agent/reader"


def test_whoever_is_suspended_is_a_note_until_an_operator_can_be_asked_and_then_the_cause() -> None:
    waiting = Local(process=4711, silent=(("agent/reader", "refused"), ("agent/writer", "")), suspended=SUSPENDED)
    first = cause(local.system(waiting))

    assert first
    assert first.said.startswith("agent/reader, agent/writer: all their requests are refused")
    assert first.repair.startswith(REINSTATE)
    assert cause(local.system(replace(waiting, suspended=()))) != first
    later = local.system(Local(suspended=SUSPENDED))
    assert cause(later) is None
    assert later[1].repair == REINSTATE


def test_a_suspension_for_drift_is_not_ended_before_the_code_is_back() -> None:
    found = local.system(Local(process=4711, suspended=(("agent/reader", "drift: agents/reader/main.py"),)))

    assert "first put the approved code back" in found[-1].said


def of_containers(found: list[Container], who: Suspended) -> list[Verdict]:
    facts = Facts("", ISSUER, MACHINE, [], DOCKER, [], found, Local(), suspended=who)
    return order.verdicts(facts, {"containers"})


def test_a_party_that_is_suspended_is_why_its_container_starts_in_vain() -> None:
    vain = container("reader", "running", health="unhealthy", log=("nothing new",))
    for found in (HEALTHY, vain):
        first = cause(of_containers(found, SUSPENDED))
        assert first
        assert first.about == "suspended"
        assert first.repair.startswith(REINSTATE)
    assert cause(of_containers(HEALTHY, ())) is None


@pytest.mark.parametrize(
    "found",
    [
        container("keycloak", "exited", exit_status=1),
        container("reader", "running", health="unhealthy", log=(containers.NO_IDENTITY,)),
    ],
)
def test_what_hinders_reinstatement_comes_before_a_suspension(found: list[Container]) -> None:
    first = cause(of_containers(found, SUSPENDED))

    assert first
    assert first.about in ("keycloak", "reader")


def test_where_the_registry_cannot_be_read_nothing_is_said_to_be_well_about_suspensions() -> None:
    assert shown(of_containers(HEALTHY, None)[-3])[0] is State.SKIPPED
    stopped = container("registry", "exited", exit_status=0)
    assert ("suspended", State.NOTE) in {(one.about, one.state) for one in of_containers(stopped, SUSPENDED)}


@pytest.mark.parametrize(
    ("asked", "found", "run", "checked"),
    [
        ("local", HEALTHY, {}, {"local"}),
        ("containers", [], {}, {"containers"}),
        ("", HEALTHY, {}, {"containers"}),
        ("", HEALTHY, {"process": 1}, {"containers", "local"}),
        ("", [], {"process": 1}, {"local"}),
        ("", [], {}, {"local"}),
    ],
)
def test_what_is_in_use_decides_what_is_checked(
    asked: str, found: list[Container], run: dict[str, Any], checked: set[str]
) -> None:
    assert order.ways(asked, found, Local(**run)) == checked


# --- what the project's other files say -------------------------------------------------------------------------------


def test_ports_issuer_and_services_are_those_of_the_files() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    compose = yaml.safe_load(text)
    deployment = (ROOT / "deploy/local.yaml").read_text()
    found = project(text, deployment, (ROOT / "local/keycloak_options.py").read_text(), {})

    by_default = [name for name, service in compose["services"].items() if "profiles" not in service]
    assert sorted(SERVICES) == sorted(by_default)
    with_server = yaml.safe_load((ROOT / "compose.llama-stack.yaml").read_text())["services"]
    assert sorted(OF_LLAMA_STACK) == sorted(with_server.keys() - compose["services"].keys())
    assert found.name == compose["name"]
    assert found.issuer == by_default_of(compose["x-settings"]["ZT_ISSUER"])
    assert {port: who["containers"] for port, who in found.ports.items() if "containers" in who} == {
        int(by_default_of(port).split(":")[1]): name
        for name, service in compose["services"].items()
        for port in service.get("ports", [])
    }
    parties = yaml.safe_load(deployment)["parties"]
    expected = {place["port"]: name for name, place in parties.items()}
    expected |= {keycloak_options.PORT: "Keycloak", keycloak_options.HEALTH_PORT: "Keycloak"}
    assert {port: who["local"] for port, who in found.ports.items() if "local" in who} == expected


def by_default_of(text: str) -> str:
    """What Compose makes of a text without variables."""
    return re.sub(r"\$\{\w+:-(\w*)\}", r"\1", text)


def test_ports_issuer_and_project_follow_the_variables_that_compose_has() -> None:
    files = ("docker-compose.yml", "deploy/local.yaml", "local/keycloak_options.py")
    variables = {"COMPOSE_PROJECT_NAME": "second", "ZT_KEYCLOAK_PORT": "9443", "ZT_REGISTRY_PORT": "9106"}
    compose, deployment, keycloak = ((ROOT / name).read_text() for name in files)
    found = project(compose, deployment, keycloak, variables)

    assert (found.name, found.issuer) == ("second", "https://localhost:9443/realms/agents")
    assert {number for number, who in found.ports.items() if "containers" in who} == {9443, 8101, 9106, 8108}


def test_numbers_and_words_that_are_written_twice_agree() -> None:
    assert issuer.CLOCK_SKEW == CLOCK_SKEW
    assert local.KEYCLOAK == keycloak_distribution.VERSION
    assert containers.STALE in STALE
    assert containers.ANEW in STALE
    assert revocations.DRIFT == DRIFT
    assert 'f"{DRIFT}{drifted' in (ROOT / "authorities/registry/operators.py").read_text()
    assert f'service.data / "{DATABASE}"' in (ROOT / "authorities/registry/app.py").read_text()


def test_each_reason_with_a_remedy_is_one_that_attestation_gives() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "authorities/attestation").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", sources)  # a text over several lines

    assert [part for part in logs.REMEDIES if part not in joined] == []


def test_each_reason_of_an_admission_has_a_remedy() -> None:
    """So a new rule brings one."""
    tree = ast.parse((ROOT / "authorities/attestation/containers/admission.py").read_text())
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    reasons = [
        text
        for text in texts
        if re.match(r"it |its (?!root is$)|no |something |: only |is mounted |is no |[^.]* is writable$", text.strip())
    ]
    assert len(reasons) >= 12

    assert [reason for reason in reasons if not logs.remedy(reason)] == []


# --- the report -------------------------------------------------------------------------------------------------------


def test_the_first_fault_is_the_cause_and_nothing_is_wider_than_a_terminal() -> None:
    long = "x" * 40 + " \x1b[2J " + "word " * 200
    verdicts = [ok("a", "fine"), wrong("b", long, "repair it"), skipped("c", "b"), wrong("d", "too", "not this")]
    text = report(verdicts, {"local"}, running=True, colour=False)

    assert text.startswith("Cause:  b: xxxx")
    assert "Repair: repair it\n" in text
    assert "not this" not in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert len(text) < 2000


def test_a_report_without_a_fault_says_what_to_do() -> None:
    assert report([ok("a", "x")], {"local"}, running=False, colour=False).startswith("Nothing hinders a start: `make")
    assert report([note("a", "x", "do it")], {"local"}, running=True, colour=False).startswith("All is well.")
    assert "\x1b[32mok" in report([ok("a", "x")], {"local"}, running=True, colour=True)


# --- programs that take long ------------------------------------------------------------------------------------------


def test_a_program_that_does_not_end_is_ended_with_its_children() -> None:
    found = commands.run("sh", "-c", "sleep 600 & wait", seconds=0.05)

    assert found.status is None
    assert "no answer" in found.err


def test_a_program_that_is_not_there_is_told_from_one_that_fails() -> None:
    assert commands.run("no-such-program").status is None
    assert commands.run("false").status == 1


def test_what_takes_long_gives_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    heard = threading.Event()

    def hear(text: str, **_: object) -> None:
        said.append(text)
        heard.set()

    monkeypatch.setattr(commands, "SAID_AFTER", 0.001)
    monkeypatch.setattr(commands, "print", hear, raising=False)

    with commands.going_on("Looking"):
        assert heard.wait(60)

    assert said[0].startswith("Looking: ")
