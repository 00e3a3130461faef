"""docs/how-to/library.md: what it says to type is typed here, far from this repository, against the wheel."""

import subprocess
from pathlib import Path

import yaml

from registration.realm import realm
from testkit import principal
from tests.support.library_page import PAGE, block, merged, registered
from tests.support.system import ROOT
from tests.support.wheel import Install
from zerotrust.authority.files.deployment import load_deployment
from zerotrust.decision import Decision
from zerotrust.registry.model import Registry


def test_a_stranger_types_it_off_and_it_passes(install: Install, tmp_path: Path) -> None:
    (tmp_path / "quotes.py").write_text(block("python", "A party"))
    (tmp_path / "test_quotes.py").write_text(block("python", "A test of it"))

    command = [str(install("party", "pytest") / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603

    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_where_it_runs_is_said_for_every_party(tmp_path: Path) -> None:
    registered, placed = PAGE.partition("## Registration")[2].split("```yaml\n")[1:3]
    registry = merged(yaml.safe_load((ROOT / "registry.yaml").read_text()), yaml.safe_load(registered.split("```")[0]))
    deployment = yaml.safe_load((ROOT / "start" / "local.yaml").read_text())
    (file := tmp_path / "local.yaml").write_text(
        yaml.safe_dump(merged(deployment, yaml.safe_load(placed.split("```")[0])))
    )

    assert "agent/quotes" in load_deployment(file, Registry.model_validate(registry)).parties


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
