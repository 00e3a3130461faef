"""The notebooks in containers: they print what is stored, and whoever runs their cells has no more than they need."""

import json
import re

import httpx
import pytest

from lab.notebooks.in_container import AT, FILE, LAB_PORT, PUBLISHED
from tests.support.system import ROOT
from zerotrust.testing.stack import Stack

pytestmark = pytest.mark.compose

RUN = ("python", "-B", "-m", "lab.notebooks.in_container")


@pytest.fixture(scope="module")
def notebooks(intruders: Stack) -> Stack:
    """The containers with intruders, and JupyterLab beside them."""
    assert intruders
    more = Stack(ROOT, ["compose.notebooks.yaml"])
    more.start()
    return more


def test_every_output_is_the_stored_one(notebooks: Stack) -> None:
    status, printed = notebooks.execute("notebooks", *RUN, "check")

    offered = [source for source in (ROOT / "notebooks").glob("*.py") if source.name[0] in "1234"]
    assert f"0 of {len(offered)} notebooks print something else" in printed, printed
    assert status == 0


def test_only_a_browser_of_this_machine_that_has_the_token_may_run_cells(notebooks: Stack) -> None:
    *_, token = re.findall(
        rf"http://{PUBLISHED}:{LAB_PORT}/lab/\S+\?token=([0-9a-f]{{48}})", notebooks.log("notebooks")
    )

    def asked(**headers: str) -> int:
        url = f"http://{PUBLISHED}:{LAB_PORT}/api/kernels"
        return httpx.get(url, headers=headers, trust_env=False, timeout=30).status_code

    assert asked(authorization=f"token {token}") == 200
    assert asked() == 403
    assert asked(authorization=f"token {token[:-1]}") == 403
    assert asked(authorization=f"token {token}", host="notebooks.example") == 403


def test_no_party_reaches_it(notebooks: Stack) -> None:
    networks = notebooks.container("notebooks").attrs["NetworkSettings"]["Networks"]
    addresses = [network["IPAddress"] for network in networks.values()]

    def reached(service: str, address: str) -> bool:
        connect = f"exec 3<>/dev/tcp/{address}/{LAB_PORT}"
        return notebooks.execute(service, "timeout", "2", "bash", "-c", connect)[0] == 0

    assert reached("notebooks", AT)  # so that a connection that fails elsewhere says something
    assert len(addresses) > 1
    parties = ("orchestrator", "reader", "documents", "registry", "keycloak")
    assert [(party, address) for party in parties for address in addresses if reached(party, address)] == []


def test_a_cell_has_no_administrator(notebooks: Stack) -> None:
    _, told = notebooks.execute("notebooks", "cat", str(FILE))
    admin = dict(
        line.split() for line in notebooks.run("run", "--rm", "-T", "walkthrough", "passwords").stdout.splitlines()
    )

    assert json.loads(told)["passwords"]["alice"] == admin["alice"]
    assert admin["admin"] not in told
    assert notebooks.execute("notebooks", "ls", "-A", "/accounts") == (0, "")
    assert notebooks.execute("notebooks", *RUN, "realm")[0] == 0  # it is there already
    assert notebooks.execute("notebooks", "touch", "/app/x", str(FILE))[0] != 0
