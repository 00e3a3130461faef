"""docker-compose.yml says what the registry says: who exists, who may reach whom; and nothing weakens a container."""

import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from authorities.attestation.containers import main as attestation
from registration.derived import compose
from registration.names import LOCAL, SCHEMA
from start.stopping import SECONDS
from tests.support.system import ROOT, registry
from zerotrust.authority.files.lock import LOCK, load_lock
from zerotrust.authority.files.lock import REGISTRY as REGISTRY_FILE

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "start" / "Dockerfile").read_text()
REGISTRY, AUDIT = registry().authorities.registry, registry().authorities.audit
POLICY = registry().authorities.policy
TOOLS = {"walkthrough", "zt"}
"""What people run: no party, without an identity."""
OFFLINE = "zt-offline"
"""The same, with nothing running."""
OPERATES = "automation"
"""A party that is started for one command, and listens nowhere."""
REGISTER = "register"
"""Approves what lies in the checkout, which it alone sees, and has no network."""
PARTIES = {
    name: service
    for name in registry().launched
    for service in SERVICES.values()
    if service.get("build", {}).get("args", {}).get("CODE") == registry().parties[name].code
}


def members(network: str) -> set[str]:
    return {name for name, service in PARTIES.items() if network in service["networks"]}


def aliases(service: dict[str, Any], network: str) -> list[str]:
    return list((service["networks"][network] or {}).get("aliases", []))


@pytest.mark.parametrize("name", sorted(PARTIES))
def test_a_party_listens_in_its_own_network_alone_and_authorities_in_the_one_that_all_are_in(name: str) -> None:
    """Beside the party, those are in its own network whom the registry allows to call it, and nobody else."""
    known, dns_name = registry(), registry().dns_name(name)
    [network] = [one for one in PARTIES[name]["networks"] if dns_name in aliases(PARTIES[name], one)]

    if name not in {REGISTRY, POLICY}:  # people reach these, by a port that is published in `edge`
        assert PARTIES[name]["environment"]["ZT_HOST"] == dns_name
    if name in {REGISTRY, AUDIT, POLICY}:  # everybody follows the feed, delivers a journal and may ask for decisions
        assert network == "authorities"
        assert members(network) == set(PARTIES)
    else:
        assert AUDIT not in members(network)
        if network != "edge":
            assert members(network) == {name, *(other for other in PARTIES if name in known.parties[other].may_call)}
        for_people = any(name in party.may_call for party in known.parties.values() if not party.code)
        assert (network == "edge") == (for_people or bool(known.browser_hosts(name)))
    assert len({service["image"] for service in PARTIES.values()}) == len(PARTIES)


def test_what_is_copied_from_the_checkout_is_what_was_approved_and_can_be_read_whatever_its_mode_is_there() -> None:
    """A clone made with umask 077 has files for its owner alone; one that converts line ends has other files."""
    copied = re.findall(r"^COPY (?!--from)(.*)", DOCKERFILE, re.MULTILINE)

    assert copied
    assert [line for line in copied if not line.startswith("--chmod=755 ")] == []
    assert not re.search(r"^COPY (--\S+ )?\.?/? ", DOCKERFILE, re.MULTILINE), "whatever lies in the folder"
    assert "* -text" in (ROOT / ".gitattributes").read_text().splitlines()


def test_two_parties_have_packages_of_their_own_besides_their_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attestation, "load_pin", lambda file: {f"/app/packages/{file.name}": "0" * 64})
    approved = attestation.approved_images(registry(), load_lock(ROOT / "registry.lock"))
    own = {one.party: {file for file in one.app if "packages" in file} for one in approved}

    assert {party: files for party, files in own.items() if files} == {
        "inference": {"/app/packages/inference.packages.json"},
        REGISTRY: {"/app/packages/registry.packages.json"},
    }
    assert "/app/registry.lock" in next(one.app for one in approved if one.party == REGISTRY)


USERS = {"keycloak": "1000:0", "database": "postgres"}
"""Of the containers that run nothing of ours."""


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_container_has_more_rights_than_it_needs_nor_a_secret(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"]["max-size"]
    assert not {"privileged", "devices", "ipc", "cgroup_parent", "cap_add"} & service.keys()
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert ("pid" in service) == (name == "attestation")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    of_machine = [volume for volume in service["volumes"] if volume.startswith((".", "/"))]
    assert all(volume.startswith((".:/checkout:ro", "./")) and name == REGISTER for volume in of_machine)
    assert service["read_only"] is True
    assert service["pull_policy"] == "never"  # the name in a registry is somebody else's
    assert service["user"] == USERS.get(name, "47823:47823")
    if name not in {"setup", OFFLINE, OPERATES, REGISTER, *TOOLS}:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]
    assert not [key for key in service.get("environment", {}) if re.search("PASSWORD|SECRET|TOKEN", key)]


@pytest.mark.parametrize(
    ("socket", "ready"),
    [
        ("   0: 0500A8C0:01BB 00000000:0000 0A 00000000:00000000", True),
        ("   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:0", True),
        ("   1: 0500A8C0:01BB 0600A8C0:D1F2 01 00000000:00000000", False),
        ("   1: 0500A8C0:D1F2 0600A8C0:01BB 01 00000000:00000000", False),
        ("   2: 0B00007F:A2C5 00000000:0000 0A 00000000:00000000", False),
    ],
)
def test_a_party_is_healthy_when_it_listens_itself(socket: str, ready: bool) -> None:
    """At its name, a second container of the party, which has the identity, would answer."""
    for name, service in PARTIES.items():
        if name != "automation/ci":
            [pattern] = re.findall(r"^grep -qE '(.*)' /proc/net/tcp\*$", service["healthcheck"]["test"][-1])
            assert bool(re.search(pattern, socket)) == ready


def test_attestations_memory_is_for_as_many_parties_as_there_are() -> None:
    """As docs/how-to/containers.md has it, with a mebibyte for a megabyte."""
    verifier = yaml.safe_load_all((ROOT / "start/kubernetes/attestation/verifier.yaml").read_text())
    [daemon] = [one for one in verifier if one["kind"] == "DaemonSet"]
    [container] = daemon["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    assert limit.removesuffix("Mi") == SERVICES["attestation"]["mem_limit"].removesuffix("m")
    assert int(limit.removesuffix("Mi")) >= 60 + 28 * len(registry().measured)


def test_packages_are_installed_by_their_hashes_and_none_is_built_from_its_source() -> None:
    """That would run whatever its authors have in their build, in place of what is in the lock by its digest."""
    commands = re.findall(r"pip (?:install|sync) [^|&]+", DOCKERFILE + (ROOT / "Makefile").read_text())

    assert len(commands) == 9
    assert [one for one in commands if "--require-hashes" not in one] == []
    assert [one for one in commands if "--only-binary=:all:" not in one and "--no-build" not in one] == []


def test_what_approves_runs_the_sources_of_the_checkout_and_nothing_planted_beside_them(tmp_path: Path) -> None:
    module = tmp_path / "registration/register.py"
    module.parent.mkdir()
    (tmp_path / "start").mkdir()
    shutil.copy(ROOT / "start/run.py", tmp_path / "start")
    module.write_text("print('planted')")
    planted = module.parent / f"__pycache__/register.{sys.implementation.cache_tag}.pyc"
    py_compile.compile(str(module), str(planted), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    module.write_text(
        "import sys, yaml\nfrom importlib.util import find_spec\nprint(sys.argv[1:], find_spec('planted'))"
    )
    for name in ("yaml", "runpy", "sitecustomize", "planted"):
        (tmp_path / f"{name}.py").write_text("print('planted')")

    command = SERVICES[REGISTER]["entrypoint"] + SERVICES[REGISTER]["command"]
    options = [word.replace("/checkout", str(tmp_path)) for word in command[1:]]
    printed = subprocess.check_output([sys.executable, *options, "--check"], cwd=tmp_path, text=True)  # noqa: S603

    assert printed == "['--check'] None\n"


def test_what_approves_can_write_what_a_new_party_changes_and_nothing_else() -> None:
    everything, *writable = SERVICES[REGISTER]["volumes"]
    files = {compose.FILE, REGISTRY_FILE, LOCK}
    folders = {Path(file).parts[0] for file in (SCHEMA, LOCAL)}

    assert everything == ".:/checkout:ro"
    assert writable == [f"./{name}:/checkout/{name}" for name in sorted({*files, *folders, "agents", "tools"})]


def test_what_verifies_offline_starts_nothing_and_reaches_nothing() -> None:
    service = SERVICES[OFFLINE]

    assert (service["network_mode"], service["volumes"], service["entrypoint"]) == (
        "none",
        [],
        SERVICES["zt"]["entrypoint"],
    )
    assert service["image"] == SERVICES["zt"]["image"]
    assert not {"depends_on", "networks", "ports", "environment"} & service.keys()
    assert service["profiles"] == ["tools"], "`docker compose up` does not start it"


def test_only_attestation_mounts_its_keys_and_only_it_writes_where_identities_come_from() -> None:
    mounted = [(name, volume) for name, service in SERVICES.items() for volume in service["volumes"]]

    assert [name for name, volume in mounted if volume.startswith("keys:")] == ["attestation"]
    for name, volume in mounted:
        if volume.startswith("identity:"):
            assert name == "attestation" or volume.endswith(":ro")


def test_a_partys_data_is_its_own_and_of_it_others_read_the_journal_alone() -> None:
    for name, service in PARTIES.items():
        [data] = [volume for volume in service["volumes"] if volume.endswith(":/data")]
        own = data.removesuffix("/data")
        others = [
            (key, volume)
            for key, other in SERVICES.items()
            for volume in other["volumes"]
            if other is not service and volume.startswith(own) and (name, key) != (REGISTRY, "setup")
        ]
        journal = f"{own}/journals/{name.replace('/', '-')}:ro"
        assert others == ([(key, journal) for key in sorted(TOOLS)] if name in registry().services else [])


def test_the_published_log_is_read_by_people_and_the_ledgers_other_data_by_nobody() -> None:
    mounts = {(name, volume) for name, service in SERVICES.items() for volume in service["volumes"]}
    of_ledger = {(name, volume) for name, volume in mounts if volume.startswith("audit")}

    read = {(name, "audit-log:/journals/authority-audit/log:ro") for name in TOOLS}
    assert of_ledger == {("audit", "audit:/data"), ("audit", "audit-log:/data/log"), *read}


def test_no_network_but_the_edge_reaches_further() -> None:
    assert {name for name, network in COMPOSE["networks"].items() if not network.get("internal")} == {"edge"}
    assert COMPOSE["networks"]["edge"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert {name for name, service in SERVICES.items() if "database" in service.get("networks", [])} == {
        "database",
        "keycloak",
    }


def test_what_people_run_is_where_the_front_doors_and_the_issuer_are_and_in_no_containers_place() -> None:
    """In Keycloak's own network namespace it would reach the database, and the management port without a password."""
    assert {(*SERVICES[name]["networks"], SERVICES[name].get("network_mode")) for name in TOOLS} == {
        ("edge", "authorities", None)
    }


def test_whoever_takes_or_cosigns_records_ends_after_those_whose_records_they_are() -> None:
    """Compose ends containers in the reverse order of their dependencies."""
    after = {name: PARTIES[name]["depends_on"].keys() for name in PARTIES}

    assert {name for name in PARTIES if "audit" in after[name]} == PARTIES.keys() - {AUDIT, REGISTRY}
    assert "registry" in after[AUDIT]
    assert all("attestation" in others for others in after.values())  # without it, nobody would be believed at the end


def test_a_name_that_is_gone_holds_nobody_up() -> None:
    """On a machine without a name server, each question took 10 s: to end the registry, and in `zt status`.

    `zt` asks for such names as well.
    """
    waiting = {
        name: service.get("dns_opt")
        for name, service in SERVICES.items()
        if name in {*PARTIES, *TOOLS, "attestation", "keycloak"}
    }
    assert {name for name, options in waiting.items() if options != ["timeout:1", "attempts:1"]} == set()


def test_every_image_that_is_not_ours_is_named_once_by_its_version_and_digest() -> None:
    ours = {service["image"] for service in SERVICES.values() if "build" in service}
    assert {service["image"] for service in SERVICES.values()} == ours
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE))
    foreign = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) - stages
    named = dict(re.findall(r"^ARG (ZT_IMAGE_\w+)=(\S+)$", DOCKERFILE.partition("FROM ")[0], re.MULTILINE))

    assert foreign == {f"${{{name}}}" for name in named}
    for image in named.values():
        assert re.search(r":\d+(\.\d+)*(-slim)?@sha256:[0-9a-f]{64}$", image), image


COMPOSE_FILES = [ROOT / "docker-compose.yml", *sorted(ROOT.glob("start/compose.*.yaml"))]


@pytest.mark.parametrize("file", COMPOSE_FILES, ids=lambda file: file.name)
def test_each_image_can_be_built_on_another_one_of_the_same_content(file: Path) -> None:
    """From a mirror, say.  Compose passes a variable of that name on, and nothing where there is none."""
    bases = dict.fromkeys(re.findall(r"^ARG (ZT_IMAGE_\w+)=", DOCKERFILE, re.MULTILINE))
    compose = yaml.safe_load(file.read_text())
    built = [
        service["build"]
        for service in [*compose["services"].values(), compose.get("x-hardened", {})]
        if "build" in service
    ]

    assert built
    assert all(build["args"].items() >= bases.items() for build in built)


def test_a_name_and_a_port_of_this_machine_can_be_another_one() -> None:
    """But for the console's port, which is in the address at which a sign-in ends."""
    ports = {port for service in SERVICES.values() for port in service.get("ports", [])}
    [back] = registry().parties["console"].redirect_uris
    ports.remove(f"127.0.0.1:{urlsplit(back).port}:443")

    assert all(re.match(r"127\.0\.0\.1:\$\{ZT_[A-Z]+_PORT:-\d+\}:", port) for port in ports)
    assert all(
        service["image"].startswith(f"${{COMPOSE_PROJECT_NAME:-{COMPOSE['name']}}}/") for service in SERVICES.values()
    )


def test_a_party_answers_for_its_address_in_that_network_alone_and_has_the_time_to_end_that_it_has_locally() -> None:
    for service in PARTIES.values():
        assert service["sysctls"] == {"net.ipv4.conf.all.arp_ignore": "1"}
        assert service["stop_grace_period"] == f"{SECONDS}s"


def test_no_image_of_the_parties_holds_an_intruder() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    targets = {service["build"]["target"] for service in SERVICES.values() if "build" in service}

    labs = {stage: set(re.findall(r"lab/\w+", text)) for _, stage, text in stages if "lab/" in text}
    assert labs == {
        "attestation-with-intruders": {"lab/compromised_workload", "lab/containers"},
        "thief": {"lab/thief"},
    }
    assert not {"intruder", "attestation-with-intruders", "thief"} & (targets | {base for base, _, _ in stages})
    assert not any("lab/" in str(service) for service in SERVICES.values())
