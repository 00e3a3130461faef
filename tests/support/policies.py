"""Policy bundles for tests: as the policy authority signs them, or somebody who would like to be it."""

from functools import cache
from pathlib import Path

from authorities.policy.publisher import sign_bundle
from authorities.policy.versions import FIRST as FIRST_WHY
from authorities.policy.versions import Content, Versions
from authorities.registry.policies import KEPT, Kept
from tests.support.ca import the_ca
from tests.support.system import POLICY
from zerotrust.registry.policy_bundle import Bundle, SignedPolicy, verify_bundle
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.spiffe.svid import Svid

AUTHORITY = "authority/policy"
AUTHORITYS_ID = "spiffe://agents.example/authority/policy"


class _Everything(frozenset[tuple[int, str]]):
    def __contains__(self, _: object) -> bool:
        return True

    def __bool__(self) -> bool:
        return True


ON_RECORD = _Everything()
"""All versions, for tests that are about something else than what is on record."""
FIRST = 1_795_600_000.0
"""Seconds since the epoch: some time of issue."""


def signed(policy: PolicyDocument = POLICY, version: int = 1, svid: Svid | None = None) -> SignedPolicy:
    """That version, signed; the same text each time, as the policy authority sends it."""
    return _signed(policy, version, svid)


@cache
def _signed(policy: PolicyDocument, version: int, svid: Svid | None) -> SignedPolicy:
    return SignedPolicy(bundle=sign_bundle(version, policy, svid or _authority(), now=FIRST))


def bundle_of(sent: SignedPolicy) -> Bundle:
    """What everybody reads in it."""
    return verify_bundle(
        sent.bundle, signer=AUTHORITYS_ID, own=the_ca().svid("agent/reader"), now=_authority().not_after - 10
    )


def keep(folder: Path, policy: PolicyDocument = POLICY, version: int = 1) -> None:
    """Let a registry with its data in that folder have this version from an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = Kept(version=version, digest=policy.digest, bundle=signed(policy, version).bundle)
    (folder / KEPT).write_text(kept.model_dump_json())


def versions_in(folder: Path, first: Content) -> Versions:
    """The versions in a folder; of an empty one, the first is kept."""
    versions = Versions(folder, lambda: first, ON_RECORD)
    if not versions.begun:
        versions.add(first, by=None, why=FIRST_WHY)
    return versions


@cache
def _authority() -> Svid:
    return the_ca().svid(AUTHORITY)
