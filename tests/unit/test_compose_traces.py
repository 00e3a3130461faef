"""start/compose.traces.yaml adds Jaeger and its exporter, which read the published log alone, and a link to Jaeger."""

from typing import Any

import pytest
import yaml

from tests.support.system import ROOT

OVERLAY: dict[str, Any] = yaml.safe_load((ROOT / "start/compose.traces.yaml").read_text())
BASE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONSOLE, SERVICES = OVERLAY["services"]["console"], {**OVERLAY["services"]}
del SERVICES["console"]


def test_nothing_that_is_there_changes_and_nobody_there_is_reached() -> None:
    assert CONSOLE == {"environment": {"ZT_JAEGER": "http://127.0.0.1:${ZT_JAEGER_PORT:-16686}"}}
    assert SERVICES.keys().isdisjoint(BASE["services"])
    assert OVERLAY["networks"].keys().isdisjoint(BASE["networks"])
    assert {name: service["networks"] for name, service in SERVICES.items()} == {
        "traces": ["to-jaeger"],
        "jaeger": ["to-jaeger", "jaeger-page"],
    }
    assert OVERLAY["networks"]["to-jaeger"] == {"internal": True}
    assert OVERLAY["networks"]["jaeger-page"] == BASE["networks"]["edge"]


def test_the_exporter_reads_the_published_log_and_no_journal_identity_or_key() -> None:
    assert SERVICES["traces"]["volumes"] == ["audit-log:/log:ro", "traces:/data"]
    assert "audit-log:/journals/authority-audit/log:ro" in BASE["services"]["zt"]["volumes"]
    assert SERVICES["traces"]["user"] == BASE["x-hardened"]["user"]
    assert "volumes" not in SERVICES["jaeger"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_the_new_containers_have_no_more_rights_than_the_others(name: str) -> None:
    service = SERVICES[name]

    for right in ("read_only", "cap_drop", "security_opt", "ulimits", "pids_limit", "logging"):
        assert service[right] == BASE["x-hardened"][right], right
    assert service["mem_limit"]
    assert service["user"] not in {"root", "0", "0:0"}
    assert not {"privileged", "devices", "ipc", "cgroup_parent", "pid", "cap_add", "secrets"} & service.keys()
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
