"""Containers that ask attestation for an identity: each like a party's own container, except for a test's changes."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from docker.models.containers import Container

from testkit.stack import ATTESTATION, Stack, StackError, wait_until

SOCKETS = "/run/identity"
"""Where the Workload API's socket is in each container."""


@dataclass(frozen=True)
class Verdict:
    """Attestation's decision about a container: one of the two."""

    identity: str = ""
    """The SPIFFE ID that it got."""
    refusal: str = ""
    """Why it got none."""


def rogue(  # noqa: PLR0913 - what a test may change
    stack: Stack,
    like: str,
    *,
    stopped: bool = False,
    command: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    volumes: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    **options: Any,
) -> Verdict:
    """Run a container until attestation has decided about its main process; return what it decided.

    It has image, variables and rights of the service `like`, the socket of the Workload API, and no network.  A test
    changes that: `command`, `environment` and `volumes` are added, `options` (of `docker.containers.run`) replace what
    is here: `image`, `user`, `cap_drop` ...  The command has to ask for an identity, and must not end by itself.
    `stopped`: stop the service itself in that time; otherwise an unchanged container would run twice.
    Raises `StackError`, with what it printed, if it ends or does not ask.
    """
    party = stack.container(like).attrs
    host = party["HostConfig"]
    same: dict[str, Any] = {
        "image": party["Config"]["Image"],
        "user": party["Config"]["User"],
        "read_only": host["ReadonlyRootfs"],
        "cap_drop": host["CapDrop"],
        "security_opt": host["SecurityOpt"],
        "tmpfs": host["Tmpfs"],
        "network_mode": "none",
    }
    with _stopping(stack, like) if stopped else nullcontext():
        container = stack.docker.containers.run(
            command=list(command) or None,
            environment=stack.variables(like) | dict(environment),
            volumes={
                _sockets(stack): {"bind": SOCKETS, "mode": "ro"},
                **{at: dict(how) for at, how in volumes.items()},
            },
            name=f"{stack.project}-rogue-{uuid.uuid4().hex[:8]}",
            detach=True,
            **same | options,
        )
        try:
            container.reload()
            return _verdict(stack, container)
        finally:
            container.remove(force=True, v=True)


@contextmanager
def _stopping(stack: Stack, service: str) -> Iterator[None]:
    stack.run("stop", service)
    try:
        yield
    finally:
        stack.start()


def _verdict(stack: Stack, container: Container) -> Verdict:
    """Wait until attestation has decided about a container's main process, and not about one with its id before it."""
    pid, started = container.attrs["State"]["Pid"], container.attrs["State"]["StartedAt"]
    if not pid:
        raise StackError(f"its command ended before attestation could have looked at it: {_output(container)}")
    second = len("2027-01-31T12:00:00")

    def find_decisions() -> list[dict[str, Any]]:
        return [
            event
            for event in stack.attestation_events()
            if event["event"] in {"attested", "refused"}
            and event.get("pid") == pid
            and event["time"][:second] >= started[:second]
        ]

    if not wait_until(find_decisions):
        raise StackError(f"it did not ask for an identity: {_output(container)}")
    first = find_decisions()[0]
    return Verdict(refusal=first["why"]) if first["event"] == "refused" else Verdict(identity=first["party"])


def _output(container: Container) -> str:
    return container.logs().decode(errors="replace")[-2000:]


def _sockets(stack: Stack) -> str:
    """Return the name of the volume with the Workload API's socket."""
    mounts = stack.container(ATTESTATION).attrs["Mounts"]
    return str(next(mount["Name"] for mount in mounts if mount["Destination"] == SOCKETS))
