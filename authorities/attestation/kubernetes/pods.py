"""Asks the API server which pods are a party's: those in the parties' namespace that have the party's account.

SPIRE asks the kubelet the same before it issues an identity.  But a pod from elsewhere, with a party's image, must not
take the party's place here either.
"""

import re
import ssl
from pathlib import Path

import httpx

from authorities.attestation.spiffe.workload_api import NotAttestedError

PODS = "https://kubernetes.default.svc/api/v1/namespaces/zero-trust/pods"
OWN = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMES_ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
SECONDS_FOR_THE_API_SERVER = 3
"""Seconds until the API server has to answer.  The next container is examined after that."""
MOST_PODS = 20
"""Pods of one account that are read: a party has one, and two while it is replaced.  One can be 256 KiB long."""
_POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")


def pod_of(cgroup: str) -> str:
    """Return the pod in whose control groups a process is, from its `/proc/PID/cgroup`; "" if it is in none.  Pure.

    The kubelet names them, with `_` for `-` if systemd manages them.  A container cannot leave them.
    """
    found = {uid.replace("_", "-") for uid in _POD.findall(cgroup)}
    return found.pop() if len(found) == 1 else ""


class Pods:
    """Pods as the API server describes them."""

    def __init__(self, http: httpx.AsyncClient, *, token: Path = OWN / "token", proc: Path = Path("/proc")) -> None:
        """`token`: the file with that of this pod's account, which the kubelet renews."""
        self._http, self._token, self._proc = http, token, proc

    async def check(self, pid: int, party: str) -> None:
        """Raise `NotAttestedError` unless the process is in one of this party's pods, or if that cannot be known."""
        account = party.replace("/", "-")
        pod = pod_of((self._proc / str(pid) / "cgroup").read_text())
        try:
            known = await self._of(account)
        except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
            raise NotAttestedError(f"the API server did not list the pods of {party}: {error!r}") from error
        if pod not in known:  # control: pod-of-party
            raise NotAttestedError(f"its pod, {pod}, does not have the account {account} in the namespace zero-trust")

    async def _of(self, account: str) -> set[str]:
        headers = {"accept": NAMES_ALONE, "authorization": f"Bearer {self._token.read_text()}"}
        selected = f"spec.serviceAccountName={account},status.phase!=Succeeded,status.phase!=Failed"
        answer = await self._http.get(PODS, params={"fieldSelector": selected, "limit": MOST_PODS}, headers=headers)
        return {one["metadata"]["uid"] for one in answer.raise_for_status().json()["items"] or ()}  # null for none


def api_server() -> httpx.AsyncClient:
    """Return a client of the API server.  Raises `OSError` if this pod has no account."""
    authority = ssl.create_default_context(cafile=OWN / "ca.crt")
    # Some clusters' authorities leave out their key usage (RFC 5280 section 4.2.1.3), for which Python asks since 3.13.
    authority.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return httpx.AsyncClient(verify=authority, timeout=SECONDS_FOR_THE_API_SERVER)
