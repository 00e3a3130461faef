"""Acts as a person with a browser, in tests and unattended runs: fills in Keycloak's own pages.

No other program should: a program that asks for a password looks like a thief of it (RFC 8252 section 8.12).

As the browser of another program (`BROWSER`), it opens an address as the person that a file names:

    BROWSER='start/run testkit.browser person.json %s'

The file is JSON: `{"user": …, "password": …, "ca": "run/ca.pem"}`.
"""

import asyncio
import html
import json
import re
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from zt.people.login import SIGNED_OUT, Client, Login, LoginError, Request, endpoints

REDIRECT = SIGNED_OUT
"""The end of a sign-in without a listener: the code is taken from the address."""

_MESSAGE = re.compile(r'(?:id="input-error-\w+"|class="instruction"|kc-feedback-text")[^>]*>\s*(?:<[^>]+>)?([^<]+)')


async def sign_in(  # noqa: PLR0913 - who, where, for what
    issuer: str, client_id: str, username: str, password: str, scope: str, *, verify: ssl.SSLContext
) -> Login:
    """Sign a user in at a public client, without a listener, and return the tokens.

    `scope` is separated by spaces; `verify` trusts the issuer's CA.
    Raises `LoginError`, also if the password is wrong, and `httpx.TransportError`.
    """
    return await Person(username, password).sign_in(Client(issuer, client_id, scope, verify))


class Person:
    """A person who knows a name and a password."""

    def __init__(self, username: str, password: str) -> None:
        self.username, self._password = username, password

    async def sign_in(self, client: Client, *, redirect: str = REDIRECT) -> Login:
        """Sign in at a client with this redirect address."""
        request = Request(client=client, redirect=redirect)
        async with client.http() as http:
            metadata = await endpoints(client, http, "authorization_endpoint", "token_endpoint")
            page = await http.get(request.address(metadata))
            answer = await self.confirm(http, await self.fill_in(http, page))
            address, _, query = answer.headers["Location"].partition("?")
            if address != redirect:
                raise LoginError(f"Keycloak requires another step first: {address}")
            if (code := request.code(query)) is None:
                raise LoginError("the answer belongs to another request")
            return await request.redeem(http, metadata, code)

    async def fill_in(self, browser: httpx.AsyncClient, page: httpx.Response) -> httpx.Response:
        """Send name and password; return the redirect unchanged if Keycloak refused before it asked for them."""
        if page.is_redirect:
            return page
        filled = {"username": self.username, "password": self._password}
        answer = await browser.post(_action(page), data=filled)
        if not answer.is_redirect:
            raise LoginError(f"{self.username}: {_message(answer).removesuffix('.')}")
        return answer

    async def confirm(self, browser: httpx.AsyncClient, answer: httpx.Response, *, said: bool = True) -> httpx.Response:
        """Confirm what Keycloak asks for next, or refuse it; return the answer unchanged if it asks for nothing."""
        if "/login-actions/required-action" not in answer.headers["Location"]:
            return answer
        page = await _follow(browser, answer)
        code = re.search(r'name="code" value="([^"]+)"', page.text)
        if not code:
            raise LoginError(f"Keycloak requires another step first: {_message(page)}")
        given = {"code": code[1], **({"accept": "Yes"} if said else {"cancel": "No"})}
        return await browser.post(_action(page), data=given)

    async def visit(self, address: str, tls: ssl.SSLContext, *, confirm: bool = True) -> httpx.Response:
        """Open an address of Keycloak, or a page that leads to one, sign in, and go where that leads.

        `confirm`: whether to confirm what Keycloak asks for.  Return the last page.
        """
        async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=30) as browser:
            page = await _follow(browser, await browser.get(destination(address)))
            return await _follow(browser, await self.confirm(browser, await self.fill_in(browser, page), said=confirm))


def destination(address: str) -> str:
    """Return where the page in a file leads (`http-equiv="refresh"`), or the address itself if it names no file.

    Raises `LoginError` if the page leads nowhere.
    """
    where = urlsplit(address)
    if where.scheme != "file":
        return address
    page = Path(url2pathname(where.path)).read_text()
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page)
    if not found:
        raise LoginError(f"{address} leads nowhere")
    return html.unescape(found[1])


async def _follow(browser: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
    """Return the page behind some redirects."""
    for _ in range(10):
        if not answer.next_request:
            return answer
        answer = await browser.send(answer.next_request)
    raise LoginError("too many redirects")


def _action(page: httpx.Response) -> str:
    form = re.search(r'<form[^>]* action="([^"]+)"', page.text)
    if not form:
        raise LoginError(f"no form, but: {_message(page)}")
    return str(page.url.join(html.unescape(form[1])))


def _message(page: httpx.Response) -> str:
    """Return the message on an HTML page of Keycloak, if it can be found."""
    found = _MESSAGE.search(page.text)
    return html.unescape(found[1]).strip() if found else f"status {page.status_code}"


def main() -> None:
    """Open an address as the person in a file."""
    file, address = sys.argv[1:]
    given = json.loads(Path(file).read_text())
    tls = ssl.create_default_context(cafile=given["ca"])
    asyncio.run(Person(given["user"], given["password"]).visit(address, tls))


if __name__ == "__main__":
    main()
