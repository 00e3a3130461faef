"""Writer: the agent that files documents, and may read none.

Before `answer` runs, the gate has verified, decided and recorded.  `answer` narrows (exchanges tokens) and acts.
"""

from starlette.types import ASGIApp

from zerotrust.adapters.agent_card import CARD_PATH, PATH
from zerotrust.adapters.answer import Answer
from zerotrust.agent.a2a import DIALECTS, agent_app
from zerotrust.agent.agent_loop import run_tool_loop
from zerotrust.agent.model_client import ModelClient
from zerotrust.agent.tool_client import ToolClient
from zerotrust.routes import MAX_MESSAGE, MutualTLS, Public, Routes, Scope
from zerotrust.runtime import run
from zerotrust.service import Service

ROUTES: Routes = {
    ("POST", PATH): Scope("agent.invoke", max_body=MAX_MESSAGE),
    ("GET", CARD_PATH): MutualTLS(any_workload=True),
    ("GET", "/health"): Public(),
}


def create_app(service: Service) -> ASGIApp:
    """Return the writer, guarded."""
    documents = ToolClient(service, "tool/documents")
    model = ModelClient(service, "inference")

    async def answer(task: str) -> Answer:
        # Narrow: one token for the tool, one for the model.  Neither is valid for the other, or for this agent.
        # Act: whatever tool the model calls, the call has the right to write only, for this user.
        return await run_tool_loop(
            task,
            model=model,
            model_token=lambda: service.exchange("inference", "inference.run", "llama.chat"),
            tools=documents,
            tool_token=lambda: service.exchange("tool/documents", "tool.write"),
        )

    app = agent_app(service, answer, documents.open())
    return service.guard(app, ROUTES, dialects=DIALECTS)


if __name__ == "__main__":
    run("agent/writer", create_app)
