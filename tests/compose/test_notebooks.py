"""The notebooks in containers: they print what is stored, and whoever runs their cells has no more than they need."""

import json
import re

import httpx
import pytest

from lab.notebooks.in_container import AT, FILE, LAB_PORT, MOST_TO_KEYCLOAK, PUBLISHED
from tests.support.system import ROOT
from zerotrust.testing.stack import Stack

pytestmark = pytest.mark.compose

PARTIES = ("orchestrator", "reader", "writer", "documents", "inference", "registry", "keycloak")
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

    offered = [source for source in (ROOT / "notebooks").glob("*.py") if source.name[0] in "12349"]
    assert f"0 of {len(offered)} notebooks print something else" in printed, printed
    assert status == 0


def test_only_a_browser_of_this_machine_that_has_the_token_may_run_cells(notebooks: Stack) -> None:
    *_, (path, token) = re.findall(
        rf"http://{PUBLISHED}:{LAB_PORT}(/[0-9a-f]{{48}}/)lab/\S+\?token=([0-9a-f]{{48}})", notebooks.log("notebooks")
    )

    def asked(path: str = path, **headers: str) -> int:
        url = f"http://{PUBLISHED}:{LAB_PORT}{path}api/kernels"
        return httpx.get(url, headers=headers, trust_env=False, timeout=30).status_code

    assert asked(authorization=f"token {token}") == 200
    assert asked() == 403
    assert asked(authorization=f"token {token[:-1]}") == 403
    assert asked(authorization=f"token {token}", host="notebooks.example") == 403
    assert asked("/", authorization=f"token {token}") == 404


def test_no_party_reaches_it(notebooks: Stack) -> None:
    networks = notebooks.container("notebooks").attrs["NetworkSettings"]["Networks"]
    addresses = [AT, *(network["IPAddress"] for network in networks.values())]

    def reached(service: str) -> set[str]:
        connect = f'timeout 2 bash -c "exec 3<>/dev/tcp/$address/{LAB_PORT}" 2>/dev/null && echo $address'
        each = f"for address in {' '.join(addresses)}; do ({connect}) & done; wait"
        return set(notebooks.execute(service, "bash", "-c", each)[1].split())

    assert reached("notebooks") == {AT, networks[f"{notebooks.project}_browser"]["IPAddress"]}
    assert {party: reached(party) for party in PARTIES} == {party: set() for party in PARTIES}


def test_a_cell_has_no_administrator_and_no_identity(notebooks: Stack) -> None:
    _, told = notebooks.execute("notebooks", "cat", str(FILE))
    admin = dict(
        line.split() for line in notebooks.run("run", "--rm", "-T", "walkthrough", "passwords").stdout.splitlines()
    )

    assert json.loads(told)["passwords"]["alice"] == admin["alice"]
    assert admin["admin"] not in told
    assert notebooks.execute("notebooks", "ls", "-A", "/accounts") == (0, "")
    assert notebooks.execute("notebooks", *RUN, "realm")[0] == 0  # it is there already
    assert notebooks.execute("notebooks", "touch", "/app/x", str(FILE))[0] != 0
    asks = "asyncio.run(no_identity(os.environ['SPIFFE_ENDPOINT_SOCKET'], 'x')).answered"
    code = f"import asyncio, os; from demo.refusals import no_identity; print({asks})"
    assert notebooks.execute("notebooks", "python", "-B", "-c", code) == (0, "no identity issued\n")


TAKES_MANY = f"""
import socket, ssl

tls = ssl.create_default_context(cafile="/public/ca.pem")

def connected():
    connection = socket.create_connection(("127.0.0.1", 8443), timeout=5)
    return tls.wrap_socket(connection, server_hostname="localhost", do_handshake_on_connect=False)

held = [connected() for _ in range({MOST_TO_KEYCLOAK})]
for one in held:
    one.settimeout(60)
    one.do_handshake()
another = connected()
try:
    another.do_handshake()
    print("one more")
except TimeoutError:
    print("no more")
"""


def test_what_a_cell_can_take_of_keycloak_has_a_bound(notebooks: Stack) -> None:
    assert notebooks.execute("notebooks", "python", "-c", TAKES_MANY) == (0, "no more\n")
    assert notebooks.execute("notebooks", "python", "-c", TAKES_MANY.replace("range(", "range(-1 + ")) == (
        0,
        "one more\n",
    )
