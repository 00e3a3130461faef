"""docs/how-to/clients.md: with what it says to type, a client of others proves its key.  On Keycloak: tests/e2e."""

import json
import shutil
import subprocess
import time
from typing import Any

import jwt
import pytest

from start.sign_in import CA, ISSUER
from tests.support.clients_page import block, typed
from tests.support.system import ROOT, deployment, registry
from zerotrust.identity import UnverifiedToken
from zerotrust.possession import check_proof, thumbprint

TOKEN, URL = UnverifiedToken("a.b.c"), "https://orchestrator.agents.example/tasks"
NODE = shutil.which("node")
USED = f"""
const proofs = [await prove("POST", "{URL}", "{TOKEN}"), await prove("POST", "{URL}")];
const refused = await subtle.exportKey("jwk", keys.privateKey).then(() => false, () => true);
console.log(JSON.stringify({{ proofs, jwk, dpopJkt, refused }}));
"""


def assert_proven(with_token: str, without: str, *, jwk: dict[str, Any], dpop_jkt: str) -> None:
    """The first proof passes the gate's check; the second is one for a token endpoint, without a token's hash."""
    check_proof(with_token, token=TOKEN, key=dpop_jkt, method="POST", url=URL, now=time.time())
    assert jwt.decode(without, jwt.PyJWK(jwk, "ES256"), ["ES256"]).keys() == {"jti", "htm", "htu", "iat"}
    assert dpop_jkt == thumbprint(jwk)


@pytest.mark.parametrize("language", ["python", "js"])
def test_it_takes_twenty_lines_at_most(language: str) -> None:
    assert 0 < len(block(language).splitlines()) <= 20


def test_python_proves_its_key() -> None:
    client = typed()
    prove = client["prove"]

    assert_proven(prove("POST", URL, TOKEN), prove("POST", URL), jwk=client["JWK"], dpop_jkt=client["DPOP_JKT"])


@pytest.mark.skipif(not NODE, reason="node is not installed, which has the WebCrypto of a browser")
def test_javascript_proves_a_key_that_it_cannot_export() -> None:
    done = subprocess.run(  # noqa: S603 - what the page says
        [str(NODE), "--input-type=module"], input=block("js") + USED, capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)

    assert_proven(*answer["proofs"], jwk=answer["jwk"], dpop_jkt=answer["dpopJkt"])
    assert answer["refused"]


def test_the_addresses_are_those_of_a_start_here() -> None:
    page, place = (ROOT / "docs/how-to/clients.md").read_text(), deployment().parties["orchestrator"]

    assert f"| issuer | `{ISSUER}` |" in page
    assert f"| orchestrator | `{registry().address('orchestrator')}`, at {place.host}:{place.port}:" in page
    assert f"`{CA.relative_to(ROOT)}`" in page
    assert all(f"`{uri}`" in page for uri in registry().parties["walkthrough"].redirect_uris)
