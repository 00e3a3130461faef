"""What most tests stand on: the committed registry, an issuer whose key is made once for the whole run, and the real
system, started once as well, for whoever asks for it."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.support import system
from tests.support.issuer import Issuer
from tests.support.real import (
    assertion_for,
    ca,
    http,
    keycloak,
    last_time,
    long,
    long_registry,
    own_ca,
    real,
    realm,
    t0,
    trust_domain,
)
from tests.support.workers import OneRealSystem
from zerotrust.audit.event import AuditEvent
from zerotrust.audit.event_types import Data
from zerotrust.audit.recorder import Recorder
from zerotrust.registry.model import Registry

__all__ = [
    "assertion_for",
    "ca",
    "http",
    "keycloak",
    "last_time",
    "long",
    "long_registry",
    "own_ca",
    "real",
    "realm",
    "t0",
    "trust_domain",
]


# Where the package is installed, its entry point loads the plugin.
pytest_plugins = ["testkit.pytest_plugin", "tests.support.time_limit"]

# No property is tried by chance, or against a clock; what is new is looked for by `make fuzz`.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", action="store_true", help="print at the end which attacks were answered how")
    parser.addoption("--pictures", action="store_true", help="make the console's pictures in docs/pictures again")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Where several workers run the tests, one of them has the real system."""
    return OneRealSystem(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is tried on the real system comes last, and in one piece: its attestation lives in this very process, and
    stands still while other tests run.  At the very end its processes are killed, and Keycloak gets another key."""

    def turn(item: pytest.Item) -> tuple[bool, bool]:
        return "real" in getattr(item, "fixturenames", ()), "test_processes" in item.nodeid

    items.sort(key=turn)


MINUTES = Path(__file__).parents[1] / "run" / "test-minutes.txt"
"""The minutes of each suite in the last run of all of them."""
MOST_OF_THEM = 8
"""Suites in a run that is not of some only."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what each suite took, what was skipped in it, and how busy the machine is."""
    if terminalreporter.config.getoption("--table"):
        return
    minutes, count, skipped = defaultdict[str, float](float), Counter[str](), Counter[str]()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            suite = report.nodeid.partition("::")[0].rpartition("/")[0]
            minutes[suite] += getattr(report, "duration", 0) / 60  # a file that cannot be read has none
            count[suite] += 1
            skipped[suite] += outcome == "skipped"
    # Setup and teardown are reported apart, and count for the suite as well.
    for report in terminalreporter.stats.get("", ()):
        minutes[report.nodeid.partition("::")[0].rpartition("/")[0]] += report.duration / 60
    terminalreporter.section(title := f"minutes, load average {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores")
    lines = [
        f"{took:6.1f}  {suite}: {count[suite]} tests, {skipped[suite]} skipped"
        for suite, took in sorted(minutes.items(), key=lambda one: -one[1])
    ]
    terminalreporter.write_line("\n".join(lines))
    if len(lines) >= MOST_OF_THEM:
        MINUTES.parent.mkdir(exist_ok=True)
        MINUTES.write_text("\n".join([title, *lines, ""]))


@pytest.fixture(autouse=True)
def every_event_can_be_parsed() -> Iterator[None]:
    """Whatever a test makes a party record is an event as `docs/reference/audit-events.md` describes it."""
    made, wrong = Recorder._event, list[str]()

    def checked(recorder: Recorder, data: Data) -> bytes:
        raw = made(recorder, data)
        try:
            AuditEvent.parse(raw)
        except ValueError as error:
            wrong.append(f"{raw!r}: {error}")
        return raw

    with pytest.MonkeyPatch.context() as patch:  # its own: the fixture would be undone later than others expect
        patch.setattr(Recorder, "_event", checked)
        yield
    assert wrong == []


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture(scope="session")
def attackers_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture(scope="session")
def registry() -> Registry:
    return system.registry()


@pytest.fixture
def issuer(registry: Registry, signing_key: rsa.RSAPrivateKey) -> Issuer:
    """Fresh for every test: what one test spoils, no other sees."""
    return Issuer(registry, key=signing_key)
