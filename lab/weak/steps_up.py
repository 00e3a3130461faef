"""A caller that obeys a refusal: it gets a token with the scopes that the refusal names, and repeats the call."""

import re

from orchestrator.plan import Step
from zerotrust.adapters.answer import Answer, PeerError
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.orchestrator import agent_client
from zerotrust.service import Service

TRIES = 5


async def ask_agent(service: Service, step: Step, text: str, token: ExchangedToken) -> Answer:
    """Do the same as `agent_client.ask_agent`, but step up (RFC 6750 section 3.1) as often as a refusal asks for it."""
    for _ in range(TRIES):
        try:
            return await agent_client.ask_agent(service, step.agent, f"{step.instruction}\n{text}", token)
        except PeerError as error:
            answer = error.__cause__ and error.__cause__.__cause__
            challenge = answer.response.headers["www-authenticate"]  # type: ignore[union-attr] # it is a refusal
            wanted = re.findall(r'scope="([^"]+)"', challenge)[0].split()
            token = await service.exchange(step.agent, *wanted, department=step.department)
    raise PeerError(f"{step.agent}: refused {TRIES} times")
