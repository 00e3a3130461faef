"""What to do where no operator could reinstate the policy authority, for want of policies that permit it.  Pure.

It is suspended, so it brings none; and those that were brought before are gone, or do not fit.  The registry permits
nothing by itself, and it takes no policies of an authority that may run changed code.
"""

from authorities.registry.policies import KEPT
from authorities.registry.revocations import DRIFT


def locked_out(party: str, cause: str | None, misfit: str = "") -> str | None:
    """Return what to do if the policy authority, `party`, is suspended for that cause; None if there is a way out.

    `misfit`: why the policies that were taken last do not fit the registry; "" where none were taken.
    What Keycloak has suspended, Keycloak reinstates: that needs no policies.
    """
    if not cause or not cause.startswith(DRIFT):
        return None
    if misfit:
        return (
            f"{party} is suspended ({cause}), and the policies that it has brought before do not fit this registry: "
            f"{misfit}.  So nobody is permitted to reinstate it.  Undo the change of registry.yaml, `make register`, "
            f"`make down`, `make up`; then `zt party reinstate {party}`, and change registry.yaml again."
        )
    return (
        f"{party} is suspended ({cause}), and has never brought policies to this registry.  So nobody is permitted "
        f"to reinstate it, and nobody was permitted anything before.  Put its files back, and begin anew: `make down`, "
        f"`make fresh`, `make up`; in containers, `docker compose down -v`, `docker compose up --wait`.  If the "
        f"registry's data had a {KEPT}, restore that from a backup instead."
    )
