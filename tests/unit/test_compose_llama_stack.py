"""start/compose.llama-stack.yaml adds a server that inference alone reaches, and takes nothing from what is there."""

import re
from typing import Any

import pytest
import yaml

from start.setup import PROVIDER_KEY
from tests.support.system import ROOT

OVERLAY: dict[str, Any] = yaml.safe_load((ROOT / "start/compose.llama-stack.yaml").read_text())
BASE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = OVERLAY["services"]
NEW = {name: service for name, service in SERVICES.items() if name not in BASE["services"]}


def networks(name: str) -> set[str]:
    found = SERVICES.get(name, {}).get("networks", [])
    return set(found) | set(BASE["services"].get(name, {}).get("networks", []))


def members(network: str) -> set[str]:
    return {name for name in SERVICES.keys() | BASE["services"].keys() if network in networks(name)}


def test_who_reaches_whom() -> None:
    assert {network: members(network) for network in OVERLAY["networks"]} == {
        "to-llama-stack": {"inference", "llama-stack"},
        "to-keys": {"keycloak", "llama-stack"},
        "to-scripted-model": {"scripted-model", "llama-stack"},
        "provider": {"llama-stack"},
    }
    assert not networks("llama-stack") & BASE["networks"].keys()
    assert not networks("scripted-model") & BASE["networks"].keys()
    assert {name for name, network in OVERLAY["networks"].items() if not (network or {}).get("internal")} == {
        "provider"
    }


@pytest.mark.parametrize("name", sorted(NEW))
def test_the_new_containers_have_no_more_rights_than_the_others(name: str) -> None:
    service = NEW[name]
    hardened = BASE["x-hardened"]
    for right in ("pull_policy", "read_only", "cap_drop", "security_opt", "ulimits", "pids_limit", "logging"):
        assert service[right] == hardened[right], right
    assert service["user"] == "47824:47824" != hardened["user"]
    assert service["sysctls"] == BASE["x-party"]["sysctls"]
    assert service["mem_limit"]
    assert service["healthcheck"]["test"]
    assert not {"privileged", "devices", "ipc", "cgroup_parent", "pid", "cap_add", "ports"} & service.keys()
    assert all(volume.endswith(":ro") for volume in service.get("volumes", []))


def test_what_is_there_loses_nothing() -> None:
    """An overlay could replace anything; this one adds networks, variables, volumes and labels."""
    added = {
        "setup": {"command", "environment", "secrets", "volumes"},
        "registry": {"labels"},
        "keycloak": {"networks"},
        "inference": {"environment", "networks"},
    }

    assert {name: set(service) for name, service in SERVICES.items() if name not in NEW} == added
    assert SERVICES["setup"]["command"][:1] == BASE["services"]["setup"]["command"]
    assert set(SERVICES["inference"]["environment"]) == {"ZT_MODEL"}


def test_the_providers_key_is_a_file_and_no_variable() -> None:
    variables = {key for service in SERVICES.values() for key in service.get("environment", {})}

    assert [service["secrets"] for service in SERVICES.values() if "secrets" in service] == [[PROVIDER_KEY.name]]
    assert OVERLAY["secrets"].keys() == {PROVIDER_KEY.name}
    assert not [variable for variable in variables if re.search("KEY|PASSWORD|SECRET|TOKEN", variable)]
