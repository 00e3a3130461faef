"""Writer: the agent that may file documents and think about them, and read nothing.

The gate has verified, decided and recorded before `answer` runs.  What is left is narrow and act.
"""

import asyncio

from starlette.types import ASGIApp

from zerotrust.a2a import DIALECTS, Answer, agent_app
from zerotrust.cards import CARD_PATH, PATH
from zerotrust.routes import MAX_MESSAGE, MutualTLS, Public, Routes, Scope
from zerotrust.run import run
from zerotrust.service import Service
from zerotrust.thinking import Model, Tools, converse

ROUTES: Routes = {
    ("POST", PATH): Scope("agent.invoke", max_body=MAX_MESSAGE),
    ("GET", CARD_PATH): MutualTLS(any_workload=True),
    ("GET", "/health"): Public(),
}


def create_app(service: Service) -> ASGIApp:
    """The writer, guarded."""
    documents, model = Tools(service, "tool/documents"), Model(service)

    async def answer(task: str) -> Answer:
        # Narrow: one token for the tool, one for the model; neither opens the other's door, nor this one.
        writing, thinking = await asyncio.gather(
            service.narrow("tool/documents", "tool.write"),
            service.narrow("inference", "inference.run"),
        )
        # Act: whatever the model asks for, it is asked for with the authority to write, for this user.
        return await converse(task, model=model, thinking=thinking, tools=documents, acting=writing)

    app = agent_app(service, answer, documents.opened())
    return service.guard(app, ROUTES, dialects=DIALECTS)


if __name__ == "__main__":
    run("agent/writer", create_app)
