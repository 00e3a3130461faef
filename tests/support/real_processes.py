"""Processes of the real system, and tasks in which they take part."""

import httpx

from authorities.attestation.local.launch import Launched
from start.manual_steps import REQUEST
from start.system import System
from zt.people.login import Login


async def login(system: System) -> Login:
    return await system.sign_in("alice")


async def task(system: System, user: httpx.AsyncClient, alice: Login) -> httpx.Response:
    return await user.post(f"{system.address('orchestrator')}/tasks", json={"request": REQUEST}, auth=alice.auth)


def ended(answer: httpx.Response) -> str:
    """How a task ended: `finished`, or all that was said."""
    result = answer.json().get("result", {})
    return "finished" if answer.status_code == 200 and result["event"] == "finished" else answer.text


async def finished(system: System, user: httpx.AsyncClient, alice: Login) -> bool:
    return ended(await task(system, user, alice)) == "finished"


def process(system: System, name: str) -> Launched:
    return next(one for one in system.authority.running if one.launch.name == name)
