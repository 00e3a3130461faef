"""docs/how-to/library.md: what it says to type is typed here, far from this repository, against the wheel."""

import subprocess
from pathlib import Path

import yaml

from registration.derived import addresses
from registration.derived.compose import TEMPLATE, text
from registration.names import LOCAL
from registration.realm import realm
from testkit import principal
from tests.support.library_page import block, registered
from tests.support.system import ROOT
from tests.support.wheel import Install
from zerotrust.decision import Decision


def test_a_stranger_types_it_off_and_it_passes(install: Install, tmp_path: Path) -> None:
    (tmp_path / "quotes.py").write_text(block("python", "A party"))
    (tmp_path / "test_quotes.py").write_text(block("python", "A test of it"))

    command = [str(install("party", "pytest") / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603

    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_its_address_and_its_container_come_from_its_entry() -> None:
    registry, _ = registered()

    assert yaml.safe_load(addresses.files(registry)[LOCAL])["parties"]["agent/quotes"]["port"] == 8110
    compose = yaml.safe_load(text(registry, (ROOT / TEMPLATE).read_text(), ()))
    assert compose["services"]["quotes"]["build"]["args"]["CODE"] == "agents/quotes"


def test_as_it_is_registered_keycloak_issues_tokens_for_it_and_the_policies_let_users_in() -> None:
    registry, engine = registered()

    here = registry.id("agent/quotes")
    assert here in {client["clientId"] for client in realm(registry)["clients"]}

    def decided(scope: str) -> Decision:
        groups, scopes = frozenset({"/engineering"}), frozenset({scope})
        caller = principal(party="shop", scopes=scopes, groups=groups, audience=here)
        return engine.decide(caller, scope, here)

    assert decided("quote.read")
    assert not decided("model.read")
