"""Agents that keep state after the answer: tasks that others can request, and earlier messages.

Our agents keep none.  These use the SDK's own means, which distinguish users by a name that is not set here: to the
SDK, all users are the same anonymous one.
"""

from collections.abc import Sequence
from typing import Any

from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.tasks import BasePushNotificationSender, InMemoryPushNotificationConfigStore
from a2a.types import Artifact, Part, Task, TaskState, TaskStatus

from zerotrust.service import Service


def as_task(context: RequestContext, parts: Sequence[Part]) -> Task:
    """Return the answer as a task, which the SDK stores."""
    return Task(
        id=context.task_id,
        context_id=context.context_id,
        status=TaskStatus(state=TaskState.TASK_STATE_COMPLETED),
        artifacts=[Artifact(artifact_id="answer", parts=parts)],
    )


def with_history(executor: AgentExecutor, context: RequestContext) -> str:
    """Return this message, after all earlier ones of any user in this context."""
    said = vars(executor).setdefault("said", {}).setdefault(context.context_id, [])
    said.append(context.get_user_input())
    return "\n".join(said)


def push_options(service: Service) -> dict[str, Any]:
    """Return the options by which the SDK sends push notifications to an address that the caller chooses."""
    store = InMemoryPushNotificationConfigStore()
    return {
        "push_config_store": store,
        "push_sender": BasePushNotificationSender(httpx_client=service.egress.without_token, config_store=store),
    }
