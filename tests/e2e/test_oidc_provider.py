"""A guarded service with tokens of oidc-provider, another certified issuer; npm fetches it, or this is skipped."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab.conformance.running import Missing
from lab.conformance.suites import install_node
from start.child import end
from testkit import CA
from testkit.wire import lifespan
from tests.support.existing_service import HERE, ROUTES, bearer, existing
from tests.support.system import ROOT
from zerotrust import guard

PACKAGE, VERSION = "oidc-provider", "9.13.3"
AUTHORITY = CA("shop.example")


@pytest_asyncio.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[str]:
    """Its name."""
    try:
        programs = await install_node(ROOT / "run" / PACKAGE, f"{PACKAGE}@{VERSION}")
    except Missing as missing:
        pytest.skip(str(missing))
    svid = AUTHORITY.svid(PACKAGE, dns="localhost")
    key = svid.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (pem := tmp_path / "server.pem").write_bytes(key + svid.certificate.public_bytes(Encoding.PEM))
    script, index = ROOT / "tests/support/oidc_provider.mjs", programs.parent / PACKAGE / "lib/index.js"
    command = programs / "node", script, index, pem
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout
        yield (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    finally:
        await end(process)


def to_issuer(**options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=AUTHORITY.for_users(), trust_env=False, timeout=30, **options)


async def tokens(issuer: str, client: str = "shop", scope: str = "quote.read", resource: str = HERE) -> Any:
    """Sign sam in with a browser's pages, and redeem the code."""
    back = {"redirect_uri": f"{issuer}/callback", "resource": resource}
    asked = {"client_id": client, "response_type": "code", "scope": f"openid {scope}", **back}
    async with to_issuer(follow_redirects=True) as browser:
        page = await browser.get(f"{issuer}/auth", params=asked)
        for form in {"prompt": "login", "login": "sam", "password": "any"}, {"prompt": "consent"}:
            page = await browser.post(page.url, data=form)
        redeemed = {"grant_type": "authorization_code", "code": page.url.params["code"], **back}
        answer = await browser.post(f"{issuer}/token", auth=(client, client), data=redeemed)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_its_access_tokens_are_taken_and_nothing_else_of_it(issuer: str, tmp_path: Path) -> None:
    good, brief = await tokens(issuer), await tokens(issuer, client="hurried")
    tried = {
        "": good["access_token"],
        "scope_missing": (await tokens(issuer, scope="quote.write"))["access_token"],
        "audience_mismatch": (await tokens(issuer, resource="https://other.example"))["access_token"],
        "expired": brief["access_token"],
        "not_verified": good["id_token"],
    }
    await asyncio.sleep(brief["expires_in"])
    http = to_issuer()
    app = guard(existing(), issuer=issuer, audience=HERE, routes=ROUTES, journal=tmp_path / "log", http=http)
    async with http, lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as client:
        answers = {why: await client.get("/quotes/tea", headers=bearer(token)) for why, token in tried.items()}

    assert {why: answer.json().get("reason", "") for why, answer in answers.items()} == {why: why for why in tried}
    assert answers[""].json() == {"item": "tea", "for": "sam"}
    assert f"{PACKAGE} {VERSION} from npm" in (ROOT / "docs" / "how-to" / "guard.md").read_text()
