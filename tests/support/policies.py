"""Policy bundles for tests: as the policy authority signs them, or somebody who would like to be it."""

from functools import cache
from pathlib import Path

from authorities.policy.publisher import sign_bundle
from authorities.policy.versions import FIRST as FIRST_WHY
from authorities.policy.versions import Content, OnRecord, Version, Versions
from authorities.registry.policies import KEPT, Kept
from tests.support.ca import the_ca
from tests.support.system import POLICY
from zerotrust.registry.policy_bundle import Bundle, SignedPolicy, verify_bundle
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.spiffe.svid import Svid

AUTHORITY = "authority/policy"
AUTHORITYS_ID = "spiffe://agents.example/authority/policy"
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


def on_record(version: Version) -> OnRecord:
    """What a journal says that names this version last."""
    return OnRecord(version.number, version.digest, version.number)


def versions_in(folder: Path, first: Content) -> Versions:
    """The versions in a folder, of which the newest is on record; of an empty one, the first is kept."""
    newest = max(folder.glob("*.json"), default=None)
    recorded = on_record(Version.model_validate_json(newest.read_bytes())) if newest else OnRecord()
    versions = Versions(folder, lambda: first, recorded)
    if not versions.all():
        versions.use(versions.add(first, by=None, why=FIRST_WHY))
    return versions


@cache
def _authority() -> Svid:
    return the_ca().svid(AUTHORITY)
