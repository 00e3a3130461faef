"""The policies that a system is set up with, in real processes: what is unfit is not published, also not at first.

Keycloak has no part in it: the tests' issuer is the one that these processes know.
"""

import json
import shutil
from pathlib import Path

import pytest

from authorities.policy.versions import Version
from registration.run_lock import RunError
from start.earlier_runs import data_folder
from tests.support.issuer import Issuer
from tests.support.processes import launched
from tests.support.system import POLICIES
from tests.support.waiting import until
from zerotrust.registry.model import Registry

pytestmark = pytest.mark.e2e

RULE = """@id("mallory-reads")
@description("Mallory may read every document with the scope tool.read.")
permit (principal, action == Action::"document.read", resource is Document)
when { context.scopes.contains("tool.read") && context.subject == "mallory" };"""


async def test_policies_that_fail_their_own_decision_table_are_not_the_first_version(
    tmp_path: Path, registry: Registry, issuer: Issuer
) -> None:
    policies = shutil.copytree(POLICIES, tmp_path / "policies")
    rules = policies / "documents.cedar"
    rules.write_text(rules.read_text().replace("!context.delegated", "true", 1))

    with pytest.raises(RunError) as failed:
        async with launched(tmp_path, registry, issuer, [], policies=policies):
            pass

    assert "authority/policy does not start" in str(failed.value)
    assert "policies/ may not be published as the first version, so nothing is in force:" in str(failed.value)
    assert not [*data_folder(tmp_path, registry.authorities.policy).glob("versions/*")]
    assert not [*data_folder(tmp_path, registry.authorities.registry).glob("policy.json")]


async def test_a_planted_version_is_not_in_force_after_a_restart(
    tmp_path: Path, registry: Registry, issuer: Issuer
) -> None:
    async with launched(tmp_path, registry, issuer, []):
        pass
    taken = data_folder(tmp_path, registry.authorities.registry) / "policy.json"
    before = json.loads(taken.read_bytes())
    versions = data_folder(tmp_path, registry.authorities.policy) / "versions"
    first = Version.model_validate_json((versions / "000001.json").read_bytes())
    rules = first.content.policies | {"more.cedar": f"{RULE}\n"}
    content = first.content.model_copy(update={"policies": rules})
    more = {"number": 2, "digest": content.document.digest, "by": "olga", "content": content}
    (versions / "000002.json").write_text(first.model_copy(update=more).model_dump_json())

    async with launched(tmp_path, registry, issuer, []):
        await until(lambda: json.loads(taken.read_bytes())["bundle"] != before["bundle"])

    assert json.loads(taken.read_bytes()) | {"bundle": before["bundle"]} == before
