"""The registry as a process: reads its files, signs with its own SVID, and follows the issuer."""

import time
from contextlib import aclosing
from functools import partial
from pathlib import Path

import uvloop
from pydantic import AnyHttpUrl

from authorities.registry.app import create_app
from authorities.registry.files import load_known
from authorities.registry.keycloak import Administration
from authorities.registry.poll import poll
from zerotrust.connections import Connections, Directory, MCPConnections
from zerotrust.known import SIGNER, Known
from zerotrust.logs import log_json_lines
from zerotrust.outgoing import Outgoing
from zerotrust.policy import CedarPolicy
from zerotrust.run import issuer_client, read_policy, serve, without_slash
from zerotrust.service import Service
from zerotrust.settings import Settings
from zerotrust.standing import Standing
from zerotrust.withdrawn import KEPT
from zerotrust.workload import Workload


class RegistrySettings(Settings):
    """What the registry must be told besides."""

    files: Path
    """The folder of `registry.yaml` and `registry.lock`."""
    places: dict[str, AnyHttpUrl]
    """Where each party listens, by name (JSON)."""


async def live(settings: RegistrySettings) -> None:
    """Serve until told to stop."""

    def read() -> tuple[Known, CedarPolicy]:
        known = load_known(settings.files, {name: without_slash(str(url)) for name, url in settings.places.items()})
        policy = read_policy(settings.policies, known.registry)
        return known.model_copy(update={"policies": policy.digest}), policy

    known, policy = read()
    standing, workload, issuer = Standing(clock=time.monotonic), Workload(), without_slash(str(settings.issuer))
    async with workload.opened():
        svid, nobody = workload.svid, Directory({}, {})
        calls, mcp_calls = Connections(nobody, svid), MCPConnections(nobody, svid)
        service = Service(
            SIGNER,
            known=known,
            policy=policy,
            standing=standing,
            issuer=issuer,
            data=settings.data,
            workload=workload,
            outgoing=Outgoing({}, standing=standing, transport=calls, mcp_transport=mcp_calls),
            identity_http=issuer_client(issuer, workload),
        )
        async with aclosing(Administration(issuer, workload, http=issuer_client(issuer, workload))) as realm:
            follow = partial(poll, realm, own=known.registry.id(SIGNER), since=time.time() - KEPT["session"])
            await serve(service, create_app(service, realm, read, follow), workload, settings.host)


if __name__ == "__main__":
    log_json_lines()
    uvloop.run(live(RegistrySettings()))
