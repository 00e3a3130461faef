"""Orchestrator: carries out a user's request by calling agents.  It has no rights of its own.

For each step of the plan, `work` exchanges the user's token for one with what that step needs; it never forwards the
user's token.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Header, Response
from starlette.types import ASGIApp

from orchestrator.models import ModelList, Models
from orchestrator.plan import Plan, Step, Task, agents_of, make_plan, with_model
from orchestrator.progress import Progress, answer_of, failure_event, naming
from orchestrator.proofs import Proofs
from zerotrust.adapters.answer import TASK_LIFE
from zerotrust.orchestrator.agent_client import ask_agent
from zerotrust.routes import MAX_TEXT, Public, Routes, Scope
from zerotrust.runtime import run
from zerotrust.service import Service

ROUTES: Routes = {
    ("POST", "/tasks"): Scope("task.run", max_body=MAX_TEXT),
    ("POST", "/plan"): Scope("reasoning.plan", max_body=MAX_TEXT),
    ("GET", "/models"): Scope("reasoning.plan"),  # the inference service requires `model.read` of the exchanged token
    ("GET", "/receipts/{sha256}"): Scope("task.run"),
    ("GET", "/health"): Public(),
}


def create_app(service: Service) -> ASGIApp:
    """Return the orchestrator, guarded."""
    app, models = service.app(), Models(service)

    def steps_of(task: Task) -> list[Step]:
        return make_plan(task.request, service.department(task.department), agents_of(service.registry))

    async def work(plan: list[Step]) -> AsyncIterator[Progress]:
        text = ""
        for number, step in enumerate(plan, 1):
            yield Progress(event="started", agent=step.agent, model=step.model)
            try:
                # control: token-for-one-department
                token = await service.exchange(step.agent, *step.scopes, department=step.department, lasting=TASK_LIFE)
                # control: step-asked-once
                answer = await ask_agent(service, step.agent, f"{step.instruction}\n{text}", token, model=step.model)
            except Exception as error:  # noqa: BLE001 - whatever ended this step, those before it are told
                for later in plan[number:]:
                    yield Progress(event="not_begun", agent=later.agent)
                yield failure_event(step.agent, error)
                return
            text = answer.text
            yield Progress(event="done", agent=step.agent, text=text, done=answer.done, refused=answer.failed)
        yield Progress(event="finished", text=text)

    @app.post("/tasks")
    async def tasks(task: Task, accept: Annotated[str, Header()] = "") -> Response:
        first, *_ = plan = steps_of(task)
        # Refuses here, before the answer begins, if the first step is not allowed.  `work` finds this token cached.
        allowed = service.exchange(first.agent, *first.scopes, department=first.department, lasting=TASK_LIFE)
        with naming(first.agent):
            plan = with_model(plan, await models.choose(first.department, beside=allowed))
        return await answer_of(work(plan), accept)

    @app.post("/plan")
    async def plan(task: Task) -> Plan:
        steps = steps_of(task)
        return Plan(steps=with_model(steps, await models.choose(steps[0].department)))

    @app.get("/models")
    async def list_models() -> ModelList:
        return ModelList(models=await models.list_names())

    app.add_api_route("/receipts/{sha256}", Proofs(service).proof, response_model=None)

    return service.guard(app, ROUTES)


if __name__ == "__main__":
    run("orchestrator", create_app)
