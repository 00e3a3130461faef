"""The registry as a process: reads its files, signs with its own SVID, and follows the issuer."""

import time
from contextlib import aclosing
from functools import partial
from pathlib import Path

import uvloop

from authorities.registry.app import create_app
from authorities.registry.keycloak.admin import Administration
from authorities.registry.keycloak.poll import poll
from zerotrust.registry.directory import Directory
from zerotrust.registry.files import load_policy, load_snapshot
from zerotrust.registry.snapshot import PolicyDocument, RegistrySnapshot
from zerotrust.revocation import Revocations
from zerotrust.revocation_list import RETENTION
from zerotrust.runtime import end_if_first_process, issuer_client, policy_of, serve, without_slash
from zerotrust.service import Service
from zerotrust.settings import Settings
from zerotrust.spiffe.workload import Workload
from zerotrust.transport.egress import EgressClients
from zerotrust.transport.logs import log_json_lines
from zerotrust.transport.pools import Connections, MCPConnections


class RegistrySettings(Settings):
    """The further settings of the registry."""

    files: Path
    """The folder of `registry.yaml` and `registry.lock`."""
    policies: Path
    """The folder of `policies.cedar` and `schema.cedarschema`."""
    deployment: Path
    """The file that says where each party runs."""


async def live(settings: RegistrySettings) -> None:
    """Serve until stopped."""

    def read() -> tuple[RegistrySnapshot, PolicyDocument]:
        return load_snapshot(settings.files, settings.deployment), load_policy(settings.policies)

    known, policy = read()
    own = known.registry.authorities.registry
    revocations, workload, issuer = Revocations(clock=time.monotonic), Workload(), without_slash(str(settings.issuer))
    async with workload.opened():
        svid, nobody = workload.svid, Directory({}, {})
        calls, mcp_calls = Connections(nobody, svid), MCPConnections(nobody, svid)
        service = Service(
            own,
            known=known,
            policy=policy_of(policy, known.registry),
            revocations=revocations,
            issuer=issuer,
            data=settings.data,
            workload=workload,
            egress=EgressClients({}, revocations=revocations, transport=calls, mcp_transport=mcp_calls),
            identity_http=issuer_client(settings, workload),
        )
        async with aclosing(Administration(issuer, workload, http=issuer_client(settings, workload))) as realm:
            follow = partial(poll, realm, own=known.registry.id(own), since=time.time() - RETENTION["session"])
            await serve(service, create_app(service, realm, read, follow), workload, settings)


if __name__ == "__main__":
    end_if_first_process()
    log_json_lines()
    uvloop.run(live(RegistrySettings()))
