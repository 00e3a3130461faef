"""Where parties run: a mistake in it is refused with file, key and reason, and nobody is looked for at half of it."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.outside import with_server
from tests.support.system import ROOT
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.authority.files.reading import RegistryError
from zerotrust.registry.model import Registry

LOCAL: dict[str, Any] = yaml.safe_load((ROOT / "start" / "generated" / "local.yaml").read_text())
HERE = {"host": "127.0.0.1", "port": 8199}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a party that there is not": ({"agent/gone": HERE}, "differs from the registry in agent/gone: run `make register`"),
    "who has no certificate": ({"zt": HERE}, "differs from the registry in zt: run"),
    "a party that is missing": ({"agent/reader": None}, "differs from the registry in agent/reader: run"),
    "no port": ({"agent/reader": {"host": "127.0.0.1"}}, "parties.agent/reader.port: Field required"),
    "a port that there is not": ({"agent/reader": HERE | {"port": 65536}}, "parties.agent/reader.port"),
    "a port of nothing": ({"agent/reader": HERE | {"port": 0}}, "parties.agent/reader.port"),
    "a port in words": ({"agent/reader": HERE | {"port": "8102"}}, "parties.agent/reader.port"),
    "a host that is a URL": ({"agent/reader": HERE | {"host": "https://reader"}}, "parties.agent/reader.host"),
    "a host with somebody else's": ({"agent/reader": HERE | {"host": "a@b.example"}}, "parties.agent/reader.host"),
    "a key nobody knows": ({"agent/reader": HERE | {"trusted": True}}, "parties.agent/reader.trusted"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_file_key_and_reason(tmp_path: Path, registry: Registry, mistake: str) -> None:
    changed, reason = MISTAKES[mistake]
    document = copy.deepcopy(LOCAL)
    document["parties"] = {name: it for name, it in (document["parties"] | changed).items() if it is not None}
    file = tmp_path / "local.yaml"
    file.write_text(yaml.safe_dump(document))

    with pytest.raises(RegistryError) as refused:
        load_deployment(file, registry)

    assert f"{file}: {reason}" in str(refused.value)


THERE = LOCAL["outside"]


@pytest.mark.parametrize(
    ("outside", "reason"),
    [
        ({"llama": None}, "differs from the registry in llama: run"),
        ({"gpt": "https://gpt.example"}, "differs from the registry in gpt: run"),
        ({"llama": "http://llama.example"}, "outside.llama"),
        ({"llama": "https://llama.example/v1"}, "outside.llama"),
    ],
)
def test_a_server_outside_is_somewhere_by_tls(
    tmp_path: Path, registry: Registry, outside: dict[str, str | None], reason: str
) -> None:
    file = tmp_path / "local.yaml"
    places = THERE | {"llama": "https://llama.example"} | outside
    file.write_text(yaml.safe_dump(LOCAL | {"outside": {name: it for name, it in places.items() if it}}))

    with pytest.raises(RegistryError, match=re.escape(reason)):
        load_deployment(file, with_server(registry, "0" * 64))
