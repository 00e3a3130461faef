"""Signs a person in by a code that they confirm in a browser anywhere (RFC 8628): in containers, and over SSH."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from zt.people.key import Key
from zt.people.login import Client, Login, LoginError, Pkce, Say, endpoints, parse_login, post_form, refusal

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LONGEST = 600
"""Seconds to wait, whatever Keycloak says; its codes are good for 300."""
LONGEST_INTERVAL = 60
"""Seconds between two questions to Keycloak; it says 5."""
SLOWER = 5
"""Seconds by which each `slow_down` makes the interval longer (RFC 8628 section 3.5)."""

_REFUSALS = {
    "access_denied": "it was refused in the browser",
    "expired_token": "the code was not confirmed in time.  Repeat the command for a new code",
}


_Typed = Annotated[str, Field(pattern="^[!-~]{1,512}$")]
"""A text for a person to open or to type: it has no space, so it cannot go on as a sentence of ours."""


class _DeviceAuthorization(BaseModel):
    """The answer of the device authorization endpoint (RFC 8628 section 3.2)."""

    device_code: str
    user_code: _Typed
    verification_uri: _Typed
    verification_uri_complete: _Typed = ""
    expires_in: int = Field(ge=1)
    interval: int = Field(default=5, ge=1, le=LONGEST_INTERVAL)


async def sign_in(
    client: Client,
    *,
    say: Say,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Login:
    """Sign a person in, and return the tokens.  Raises `LoginError` and `httpx.HTTPError`."""
    pkce, key = Pkce(), Key()
    async with client.http() as http:
        metadata = await endpoints(client, http, "device_authorization_endpoint", "token_endpoint")
        asked = client.asked | pkce.challenge
        status, answer = await post_form(http, metadata.device_authorization_endpoint, asked)
        if status != 200:
            raise LoginError(f"Keycloak gives no code: {refusal(answer)}")
        try:
            begun = _DeviceAuthorization.model_validate(answer)
        except ValidationError as error:
            raise LoginError(f"Keycloak gives no code: {error.errors()[0]['loc'][0]} is wrong or missing") from error
        pages = [begun.verification_uri, begun.verification_uri_complete or begun.verification_uri]
        origin = "://".join(urlsplit(client.issuer)[:2]) + "/"
        if not all(page.startswith(origin) for page in pages):  # control: device-page-at-issuer
            raise LoginError(f"the page that it names for the code is not at {origin}")
        seconds = min(begun.expires_in, LONGEST)
        text = f"Open {pages[0]} in any browser, and enter {begun.user_code} within {seconds} s.  Or open: {pages[1]}"
        say(text, {"sign_in": "device", **begun.model_dump(exclude={"device_code", "interval"})})
        form = {
            "grant_type": GRANT,
            "client_id": client.client_id,
            "device_code": begun.device_code,
            "code_verifier": pkce.verifier,
        }
        interval, end = begun.interval, clock() + seconds
        while clock() + interval < end:
            await sleep(interval)
            status, answer = await post_form(http, metadata.token_endpoint, form, key)
            if status == 200:
                return parse_login(answer, key)
            why = str(answer.get("error"))
            if why == "slow_down":
                interval += SLOWER
            elif why != "authorization_pending":
                raise LoginError(_REFUSALS.get(why) or refusal(answer))
    raise LoginError(_REFUSALS["expired_token"])
