"""Agents that keep something once the answer is out: tasks that others may ask for, and what was said before.

Ours keep nothing.  These are what they would be with the SDK's own means, which tell users apart by a name that
nobody fills in here: to the SDK everybody is the same anonymous user.
"""

from collections.abc import Sequence
from typing import Any

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.tasks import BasePushNotificationSender, InMemoryPushNotificationConfigStore
from a2a.types import Artifact, Part, Task, TaskState, TaskStatus

from zerotrust.service import Service


def as_task(context: RequestContext, parts: Sequence[Part]) -> Task:
    """The answer as a task, which the SDK stores."""
    return Task(
        id=context.task_id,
        context_id=context.context_id,
        status=TaskStatus(state=TaskState.TASK_STATE_COMPLETED),
        artifacts=[Artifact(artifact_id="answer", parts=parts)],
    )


def with_what_was_said(executor: AgentExecutor, context: RequestContext) -> str:
    """What the agent is asked now, after all that anybody ever asked in this context."""
    said = vars(executor).setdefault("said", {}).setdefault(context.context_id, [])
    said.append(context.get_user_input())
    return "\n".join(said)


def notifying(service: Service) -> dict[str, Any]:
    """What makes the SDK tell a web address of the caller's choice how a task goes."""
    store = InMemoryPushNotificationConfigStore()
    return {
        "push_config_store": store,
        "push_sender": BasePushNotificationSender(httpx_client=service.egress.without_token, config_store=store),
    }
