"""A page of the console in a real browser without the console: rendered, with what its script asks for."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, Route, async_playwright

from console.admission import HEADERS
from console.pages import page, static
from console.sessions import Session
from testkit.party import principal
from tests.support.chromium import PROGRAM
from tests.support.console import AT


@asynccontextmanager
async def served(
    name: str, values: Mapping[str, Any], files: Mapping[str, tuple[str, str]], **how: Any
) -> AsyncIterator[Page]:
    """Open a page, and see that the browser has no complaint until the end of the block.

    `values`: of its template.  `files`: content and media type, by the end of the path.  `how`: the browser's window.
    """

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(AT)
        if path.startswith("/static/"):
            file = static(path.rpartition("/")[2])
            body, kind = bytes(file.body), file.headers["content-type"]
        elif asked := next((file for end, file in files.items() if path.endswith(end)), None):
            body, kind = asked[0].encode(), asked[1]
        else:
            shown = page(Session(principal(), "alice", ""), name, **values)
            body, kind = bytes(shown.body), shown.headers["content-type"]
        await route.fulfill(body=body, headers={"content-type": kind, **HEADERS})

    complaints = list[str]()
    async with async_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=sandbox)
        opened = await browser.new_page(**how)
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        await opened.route("**/*", serve)
        await opened.goto(f"{AT}/tasks/{'1' * 32}")
        yield opened
        assert complaints == []
        await browser.close()
