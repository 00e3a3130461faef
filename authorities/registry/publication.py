"""Publishes the registry and the policy authority's policies, one change at a time."""

import asyncio
import logging
from collections.abc import Callable

from authorities.registry.policies import KEPT, Policies
from authorities.registry.reasons import RegistryReason
from authorities.registry.revocations import DRIFT
from authorities.registry.stream import Stream
from zerotrust.audit.forms import sanitize
from zerotrust.authority.files.reading import RegistryError
from zerotrust.decision import Denied
from zerotrust.policy import PolicyError
from zerotrust.policy_in_force import NoPolicy
from zerotrust.registry.policy_bundle import Bundle, SignedPolicy
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.service import Service

log = logging.getLogger(__name__)


class Published:
    """The versions of registry and policies that all parties have, the registry included."""

    def __init__(self, service: Service, stream: Stream, read: Callable[[], RegistrySnapshot]) -> None:
        """`read` reads the registry's files again, and raises `RegistryError`.

        Raises `RegistryError` if the kept policies are damaged.
        """
        self._service, self._stream, self._read = service, stream, read
        self._policies = Policies(service.data, lambda: service.workload.svid)
        self._turn = asyncio.Lock()  # otherwise an older version could be published last

    async def registry(self) -> list[str]:
        """Read the registry and publish it.  Return the parties whose entry changed.

        Raises `RegistryError` or `PolicyError` if it is unfit, or the policies in force do not fit it.
        """
        async with self._turn:
            service, snapshot = self._service, self._read()
            if snapshot.registry.authorities != service.registry.authorities:
                raise RegistryError("authorities: a change needs a new start of everything: make down, then make up")
            current = self._policies.current
            policy = self._policies.engine(current, snapshot.registry) if current else NoPolicy()
            changed = changes(service.snapshot, snapshot)
            await self._stream.publish(snapshot)
            service.use(snapshot, policy)
            return changed

    async def policy(self, text: str) -> Bundle | None:
        """Publish a bundle.  Return what it says, if that is another version than the one before.

        Raises `Denied`, and then the one before stays in force.
        """
        async with self._turn:
            policies, service, stream = self._policies, self._service, self._stream
            if stream.policy and stream.policy.bundle == text:
                return None  # brought again
            bundle, before = policies.verify(text, service.registry), policies.current
            news = not policies.knows(bundle)
            try:
                same = before is not None and bundle.content == before.content
                policy = None if same else policies.engine(bundle, service.registry)
            except PolicyError as error:
                raise Denied(RegistryReason.BUNDLE_REFUSED, str(error), advice=sanitize(str(error))) from error
            await policies.keep(text, bundle)
            await stream.publish_policy(SignedPolicy(bundle=text), bundle.until)
            policies.current = bundle
            if policy:
                service.use(service.snapshot, policy)
            return bundle if news else None

    async def start(self, suspended: str | None) -> None:
        """Publish the registry, and the kept policies.

        `suspended`: why the policy authority is, or None.  Raises `RegistryError`, also if it cannot be reinstated.
        """
        misfit = ""
        try:
            await self.registry()
        except PolicyError as error:  # the registry is another one than before this start
            log.warning("the kept policies do not fit the registry: %s", error)
            self._policies.current, misfit = None, sanitize(str(error))
            await self.registry()
        if why := self.lockout_advice(suspended, misfit):
            log.error("%s", why)  # on a line of its own, before the traceback
            raise RegistryError(why)
        if kept := self._policies.kept:
            try:
                await self.policy(kept.bundle)
            except Denied as refusal:  # its life has ended, for example; the policy authority brings it again
                log.info("the kept policies are not in force: %s", refusal)

    def lockout_advice(self, suspended: str | None, misfit: str = "") -> str | None:
        """Return what to do if the policy authority is `suspended` for that cause; or None, if there is a way out.

        A suspended authority brings no policies, and its earlier ones are gone, or do not fit (`misfit` says why).  The
        registry permits nothing by itself, and takes no policies of an authority that may run changed code.
        What Keycloak has suspended, Keycloak reinstates: that needs no policies.
        """
        party = self._service.registry.authorities.policy
        if self._policies.current or not suspended or not suspended.startswith(DRIFT):
            return None
        if misfit:
            return (
                f"{party} is suspended ({suspended}), and its earlier policies do not fit this registry: {misfit}.  So "
                "no operator may reinstate it.  Undo the change of registry.yaml, `make register`, `make down`, "
                f"`make up`; then `zt party reinstate {party}`, and change registry.yaml again."
            )
        return (
            f"{party} is suspended ({suspended}), and has never brought policies to this registry.  So no "
            "operator may reinstate it.  Put its files back, and start over: `make down`, `make fresh`, `make up`; "
            f"in containers, `docker compose down -v` and `up --wait`.  Or restore {KEPT} from a backup."
        )


def changes(before: RegistrySnapshot, after: RegistrySnapshot) -> list[str]:
    """Return the parties, and the outside servers, whose entry, place, approval or key differs."""

    def entries(snapshot: RegistrySnapshot) -> dict[str, tuple[object, ...]]:
        registry, places, outside = snapshot.registry, snapshot.places, snapshot.outside
        parties = {
            name: (party, places.get(name), snapshot.approved.get(name)) for name, party in registry.parties.items()
        }
        return parties | {name: (server, outside.get(name)) for name, server in registry.outside.items()}

    old, new = entries(before), entries(after)
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
