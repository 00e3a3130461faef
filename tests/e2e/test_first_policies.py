"""The policies that a system is set up with, in real processes: what is unfit is not published, also not at first.

Keycloak has no part in it: the tests' issuer is the one that these processes know.
"""

import shutil
from pathlib import Path

import pytest

from local.alone import DemoError
from local.past import data_of
from tests.support.issuer import Issuer
from tests.support.processes import launched
from tests.support.system import POLICIES
from zerotrust.registry.model import Registry

pytestmark = pytest.mark.e2e


async def test_policies_that_fail_their_own_decision_table_are_not_the_first_version(
    tmp_path: Path, registry: Registry, issuer: Issuer
) -> None:
    policies = shutil.copytree(POLICIES, tmp_path / "policies")
    rules = policies / "documents.cedar"
    rules.write_text(rules.read_text().replace("!context.delegated", "true", 1))

    with pytest.raises(DemoError) as failed:
        async with launched(tmp_path, registry, issuer, [], policies=policies):
            pass

    assert "authority/policy does not start" in str(failed.value)
    assert "policies/ may not be published as the first version, so nothing is in force:" in str(failed.value)
    assert not [*data_of(tmp_path, registry.authorities.policy).glob("versions/*")]
    assert not [*data_of(tmp_path, registry.authorities.registry).glob("policy.json")]
