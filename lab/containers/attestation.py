"""Attestation that also gives the identities of three parties to intruders, for `start/compose.intruders.yaml` alone.

And it lets the console have one mount more: the folder with the thief's socket.

Only the image of that file's attestation holds this code.  The registry's attestation has no setting for it.
"""

import hashlib

from authorities.attestation.containers.admission import DOCKER
from authorities.attestation.containers.attested import Image, image
from authorities.attestation.containers.main import APP, main
from registration.approval import approve
from zerotrust.authority.files.lock import Lock
from zerotrust.registry.model import Registry

COMPROMISED = ("orchestrator", "agent/reader", "agent/writer")
CODE = "lab/compromised_workload"


def intruders(registry: Registry, lock: Lock) -> list[Image]:
    """Return the image of the intruder inside each compromised party: the same code, and a file with that name."""
    code = approve(lock, APP, "intruder", CODE).files_of("intruder")
    return [
        image(registry, party, CODE, code, {"/app/inside": hashlib.sha256(party.encode()).hexdigest()})
        for party in COMPROMISED
    ]


if __name__ == "__main__":
    DOCKER.kept["/thief"] = DOCKER.kept["/data"]
    main(intruders)
