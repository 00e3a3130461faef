"""compose.notebooks.yaml adds JupyterLab to the containers with intruders, in a project of its own."""

import re
from typing import Any

import pytest
import yaml

from lab.notebooks.in_container import AT, COPIES, FILE, LAB_PORT, PUBLISHED
from tests.support.system import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.notebooks.yaml").read_text())
BASE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
INTRUDERS: dict[str, Any] = yaml.safe_load((ROOT / "compose.intruders.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LAB = SERVICES["notebooks"]


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """The volumes of a service, each with where it is and how."""
    return dict(volume.split(":", 1) for volume in service["volumes"])


def test_it_is_a_project_of_its_own_that_changes_nothing_of_the_others() -> None:
    assert COMPOSE["name"] != BASE["name"]
    assert COMPOSE["include"] == [{"path": ["docker-compose.yml", "compose.intruders.yaml"]}]
    assert not SERVICES.keys() & (BASE["services"].keys() | INTRUDERS["services"].keys())
    assert not COMPOSE["volumes"].keys() & (BASE["volumes"].keys() | INTRUDERS["volumes"].keys())
    assert not COMPOSE["networks"].keys() & BASE["networks"].keys()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_the_containers_have_no_more_rights_than_the_others(name: str) -> None:
    service = SERVICES[name]
    for right in ("pull_policy", "user", "read_only", "cap_drop", "security_opt", "ulimits", "logging"):
        assert service[right] == BASE["x-hardened"][right], right
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert not {"privileged", "devices", "ipc", "cgroup_parent", "pid", "cap_add"} & service.keys()
    assert not any(volume.startswith((".", "/")) for volume in service["volumes"])


def test_whoever_runs_cells_has_no_administrator_and_writes_only_the_readers_copies() -> None:
    [made_by] = [name for name in SERVICES if "accounts" in mounts(SERVICES[name])]

    assert (made_by, SERVICES[made_by]["command"]) == ("figure-1", ["realm"])
    assert [where for where in mounts(LAB).values() if not where.endswith(":ro")] == [str(COPIES)]
    assert mounts(LAB)["kernels"] == f"{FILE.parent}:ro"
    secret = {"accounts", "keys", "keycloak-setup", "keycloak-tls", "database", "database-password"}
    assert secret <= BASE["volumes"].keys() - mounts(LAB).keys()
    assert not [name for name in LAB["environment"] if re.search("PASSWORD|SECRET|TOKEN", name)]


def test_it_listens_on_this_machine_alone_in_a_network_with_nobody_else() -> None:
    assert LAB["ports"] == [f"{PUBLISHED}:${{ZT_NOTEBOOKS_PORT:-{LAB_PORT}}}:{LAB_PORT}"]
    assert LAB["networks"]["browser"]["aliases"] == [AT]
    assert f"/dev/tcp/{AT}/{LAB_PORT}" in LAB["healthcheck"]["test"][-1]
    assert [name for name in SERVICES if "browser" in SERVICES[name].get("networks", {})] == ["notebooks"]
    assert COMPOSE["networks"]["browser"] == BASE["networks"]["edge"]
    assert LAB["sysctls"] == BASE["x-party"]["sysctls"]
    # Docker publishes a port in one network: that of the highest priority, or the first by name.
    others = [name for name, network in BASE["networks"].items() if not network.get("internal")]
    assert all(name > "browser" for name in others if name in LAB["networks"])
    assert [name for name, how in LAB["networks"].items() if how.get("priority")] == ["browser"]


def test_the_journals_and_the_intruders_are_where_the_walkthrough_and_the_attempts_have_them() -> None:
    read = {volume: where for volume, where in mounts(LAB).items() if where.startswith(("/journals", "/intruders"))}

    walkthrough, attempts = BASE["services"]["walkthrough"], INTRUDERS["services"]["attempts"]
    journals = {volume: where for volume, where in mounts(walkthrough).items() if where.startswith("/journals")}
    assert read == journals | mounts(attempts)


def test_the_notebooks_that_change_files_are_not_in_the_image() -> None:
    [copied] = re.findall(r"^COPY --chmod=755 (notebooks/\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    there = {source.name for source in ROOT.glob(copied)}

    assert {name[0] for name in there if name.endswith(".py")} == set("12349")
    assert {name[0] for name in there if name.endswith(".ipynb")} == {name[0] for name in there if name.endswith(".py")}
