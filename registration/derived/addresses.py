"""Derives the address files: where each party listens on one machine, in containers and on Kubernetes.

An address proves nothing: the party there has to prove its identity.
"""

from collections import Counter
from collections.abc import Iterator

from registration.derived.kubernetes import label
from registration.derived.manifest import as_yaml
from registration.names import CONTAINERS, KUBERNETES, LOCAL
from zerotrust.authority.files.deployment import listening
from zerotrust.authority.files.lock import REGISTRY
from zerotrust.registry.model import Registry

LOOPBACK, HTTPS = "127.0.0.1", 443


def files(registry: Registry) -> dict[str, str]:
    """Return the address files, by path.  Pure."""
    names = listening(registry)
    ports = {name: registry.parties[name].port for name in names}
    outside = {name: server.port for name, server in registry.outside.items()}
    places = {
        LOCAL: {name: {"host": LOOPBACK, "port": port} for name, port in ports.items()},
        CONTAINERS: {name: {"host": registry.dns_name(name), "port": HTTPS} for name in names},
        KUBERNETES: {name: {"host": label(name), "port": HTTPS} for name in names},
    }
    return {
        path: as_yaml(
            [
                {
                    "parties": parties,
                    "outside": {
                        name: f"https://{LOOPBACK if path == LOCAL else name}:{port}" for name, port in outside.items()
                    },
                }
            ]
        )
        for path, parties in places.items()
    }


def port_problems(registry: Registry) -> Iterator[str]:
    """Yield what is wrong with the ports of parties and outside servers: none, or the same twice."""
    ports = {f"parties.{name}": registry.parties[name].port for name in listening(registry)}
    ports |= {f"outside.{name}": server.port for name, server in registry.outside.items()}
    times = Counter(ports.values())
    for key, port in ports.items():
        if port is None:
            yield f"{REGISTRY}: {key}.port: missing: add the port at which it listens on one machine"
        elif times[port] > 1:
            yield f"{REGISTRY}: {key}.port: {port} is used twice: choose a free port"
