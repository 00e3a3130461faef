"""Each private name of another package that the code uses is listed here, with the test that notices its change.

A release of the package may change it; `start/locks/requirements.lock` pins the versions.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = (
    "zerotrust",
    "authzen",
    "console",
    "orchestrator",
    "agents",
    "tools",
    "inference",
    "authorities",
    "zt",
    "registration",
    "start",
    "demo",
)
LISTED = {
    ("_base_executable", "registration/pin.py"): "services/test_attestation.py",  # sys
    ("_create", "zerotrust/spiffe/records.py"): "unit/test_records.py",  # ssl.SSLObject
    ("_generate_error_response", "zerotrust/agent/a2a.py"): "services/test_reader.py",  # a2a-sdk
    ("_pool", "zerotrust/hardening/pools.py"): "unit/test_pools.py",  # httpx, httpx2: AsyncHTTPTransport
    ("_pool", "zt/people/login.py"): "services/test_sign_in.py",  # httpx
    ("_proto", "authorities/attestation/spiffe/workload_api.py"): "services/test_attestation.py",  # spiffe
    ("_protocol_factory", "authorities/attestation/spiffe/bounded_server.py"): "services/test_attestation.py",
    ("_sslobj", "zerotrust/spiffe/tls.py"): "unit/test_tls.py",  # ssl.SSLObject, until Python 3.13
    ("_transport", "authorities/attestation/spiffe/workload_api.py"): "services/test_attestation.py",
}
"""By name and file: the test below `tests/`.

Two more are no names: the methods of uvicorn's `HttpToolsProtocol` (`input/test_wire.py`), and that its
`Server.startup` calls `loop.create_server` (`services/test_server.py`)."""
NOT_PRIVATE = {"_asdict", "_replace", "_exit", "_value_", "_peer_of"}
"""Documented parts of the standard library, which avoids clashes by the underscore; and one of a base class here."""


def private(source: str) -> set[str]:
    """The private names that this source takes from something else than its own classes."""
    imported = re.findall(r"^\s*(?:from|import) (?!zerotrust|authorities)\S*?\.(_\w+)", source, re.MULTILINE)
    used = re.findall(r"(?<!\w)(?!self\b|cls\b|other\b)\w+(?:\(\))?\.(_[a-z]\w*)", source)
    return {*imported, *used} - NOT_PRIVATE


def test_every_private_name_in_use_is_listed_and_nothing_else() -> None:
    files = [file for folder in PRODUCT for file in (ROOT / folder).rglob("*.py")]

    assert {(name, str(file.relative_to(ROOT))) for file in files for name in private(file.read_text())} == {*LISTED}


def test_the_tests_that_would_notice_are_there() -> None:
    assert [test for test in LISTED.values() if not (ROOT / "tests" / test).exists()] == []
