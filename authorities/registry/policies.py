"""The policies at the registry: taken from the policy authority alone, kept, and passed on as they were signed."""

import asyncio
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Self

import orjson
from jwt.utils import base64url_decode
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from authorities.registry.reasons import RegistryReason
from zerotrust.authority.files.reading import RegistryError, read_content
from zerotrust.clock import NonDecreasingClock
from zerotrust.decision import Denied
from zerotrust.durable import sync_folder, write_file
from zerotrust.policy_in_force import PolicyInForce
from zerotrust.registry.model import Digest, Registry
from zerotrust.registry.policy_bundle import MAX_BUNDLE, MAX_STEP, Bundle, verify_bundle
from zerotrust.registry.snapshot import PolicyDocument
from zerotrust.runtime import policy_of
from zerotrust.spiffe.statement import InvalidStatement
from zerotrust.spiffe.svid import Svid

PATH = "/policy"
KEPT = "policy.json"
"""The file in the registry's data with the last bundle: a registry that starts again goes on with it."""


class Kept(BaseModel):
    """The last bundle that was accepted, with its version and digest: an older bundle is never accepted after it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    digest: Digest
    bundle: str

    @property
    def content(self) -> Bundle:
        """The bundle's content, as it was verified on arrival; its life may have ended."""
        said = orjson.loads(base64url_decode(self.bundle.split(".")[1]))
        document = PolicyDocument(policies=said["policies"], cedar_schema=said["cedar_schema"])
        return Bundle(self.version, document, said["iat"], said["exp"])

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.content.document.digest != self.digest:
            raise ValueError("the bundle does not have the digest")
        return self


class Policies:
    """The last bundle of the policy authority."""

    def __init__(self, folder: Path, identity: Callable[[], Svid]) -> None:
        """`folder` has the registry's data; `identity` returns the current SVID.

        Raises `RegistryError` if the file there is damaged: without it, an older version could come back.
        """
        self._file, self._identity, self._clock = folder / KEPT, identity, NonDecreasingClock(time.time)
        self.kept = _read(self._file)
        self.current = self.kept.content if self.kept else None
        """The last accepted bundle; None before the first."""

    def verify(self, text: str, registry: Registry) -> Bundle:
        """Return the content of an acceptable bundle: its life has not ended, and no newer bundle was accepted.

        A version far above the last one is refused: an authority that was compromised once could otherwise leave no
        number for a later version.  Raises `Denied`.
        """
        signer = registry.id(registry.authorities.policy)
        try:
            bundle = verify_bundle(text, signer=signer, own=self._identity(), now=self._clock())
        except InvalidStatement as error:
            raise Denied(RegistryReason.BUNDLE_REFUSED, str(error), advice=str(error)) from error
        # control: kept-policy-not-older
        if self.kept and bundle.version <= self.kept.version and not self.knows(bundle):
            why = f"version {bundle.version} is not newer than {self.kept.version}, which was in force before"
            raise Denied(RegistryReason.POLICY_OLDER, why, advice=why)
        if self.kept and bundle.version > self.kept.version + MAX_STEP:
            why = f"version {bundle.version} is more than {MAX_STEP:,} above {self.kept.version}, the one before: "
            why += "see docs/how-to/change-a-rule.md"
            raise Denied(RegistryReason.BUNDLE_REFUSED, why, advice=why)
        return bundle

    def knows(self, bundle: Bundle) -> bool:
        """Return whether this version was accepted last."""
        kept = self.kept
        return kept is not None and (bundle.version, bundle.document.digest) == (kept.version, kept.digest)

    async def keep(self, text: str, bundle: Bundle) -> None:
        """Return when a bundle is on the disk.  Raises `OSError`, and then the one before is kept."""
        kept = Kept(version=bundle.version, digest=bundle.document.digest, bundle=text)
        await asyncio.to_thread(_write, self._file, kept)
        self.kept = kept

    def engine(self, bundle: Bundle, registry: Registry) -> PolicyInForce:
        """Return the engine for a bundle, for this party alone.  Raises `PolicyError` if it does not fit.

        Here its life does not end: no party has a newer version than the last one that was taken here.  Operators must
        be able to reinstate a policy authority that can no longer sign.
        """
        return PolicyInForce(policy_of(bundle.document, registry), bundle.name, until=lambda: inf, clock=self._clock)


def _read(file: Path) -> Kept | None:
    if not file.exists():
        return None
    try:
        return Kept.model_validate_json(read_content(file, most=MAX_BUNDLE + 1000))
    except ValidationError as error:
        raise RegistryError(
            f"{file} is damaged: restore it from a backup.  Without it, the registry would take an older version again."
        ) from error


def _write(file: Path, kept: Kept) -> None:
    write_file(file, kept.model_dump_json().encode())
    sync_folder(file.parent)
