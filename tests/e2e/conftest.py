"""What the end-to-end tests call the system: the real one."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.__main__ import CA
from local.system import ROOT, System


@pytest.fixture(scope="session")
def system(real: System) -> System:
    """Everything, as `make demo` starts it."""
    return real


@pytest.fixture
def by_hand(system: System, tmp_path: Path) -> Iterator[dict[str, str]]:
    """As somebody types after `make up`: the CA's certificate in its place, and olga at the browser that opens."""
    before = CA.read_bytes() if CA.exists() else None
    CA.write_bytes(system.authority.ca_file.read_bytes())
    olga = tmp_path / "olga.json"
    olga.write_text(json.dumps({"user": "olga", "password": system.keycloak.passwords["olga"], "ca": str(CA)}))
    yield {**os.environ, "ZT_USER": "olga", "BROWSER": f"{ROOT}/scripts/run zerotrust.testing.browser {olga} %s"}
    CA.unlink() if before is None else CA.write_bytes(before)
