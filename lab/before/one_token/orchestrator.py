"""The orchestrator: the front door, and the only place where a token is checked."""

from collections.abc import Mapping
from typing import Annotated

import httpx
import jwt
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from lab.before.one_token.realm import AUDIENCE
from orchestrator.plan import make_plan


class Task(BaseModel):
    """A task that names no user."""

    request: str


def orchestrator_app(issuer: str, keys: jwt.PyJWKSet, agents: Mapping[str, str]) -> FastAPI:
    """Return the orchestrator.  `agents`: their addresses, by name."""
    app = FastAPI()

    @app.post("/tasks")
    async def run(task: Task, authorization: Annotated[str, Header()] = "") -> dict[str, str]:
        check(authorization, issuer, keys)
        text = ""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            for step in make_plan(task.request, "", dict.fromkeys(agents, ())):
                # The token goes on as it came: the agents need one too.
                answer = await http.post(
                    f"{agents[step.agent]}/run",
                    json={"text": f"{step.instruction}\n{text}"},
                    headers={"authorization": authorization},
                )
                text = answer.raise_for_status().json()["text"]
        return {"text": text}

    return app


def check(authorization: str, issuer: str, keys: jwt.PyJWKSet) -> None:
    """Check signature, issuer, audience and expiry of a token.  Raises `HTTPException`."""
    token = authorization.removeprefix("Bearer ")
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        jwt.decode(token, key, algorithms=["RS256"], issuer=issuer, audience=AUDIENCE, options={"require": ["exp"]})
    except (jwt.InvalidTokenError, KeyError) as error:
        raise HTTPException(401) from error
