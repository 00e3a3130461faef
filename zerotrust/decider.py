"""Decides for handlers by the policies in force, and records each decision before they act.

The gate decides whether a caller may use a route; only a handler knows which resource the call is about.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from zerotrust.audit import event_parts
from zerotrust.audit.event_parts import Caller, Decided, Effect
from zerotrust.audit.event_types import Access
from zerotrust.audit.forms import as_name, sanitize
from zerotrust.audit.recorder import Recorder
from zerotrust.context import REQUEST
from zerotrust.decision import Decision, Denied, PolicyEngine, Question, Resource
from zerotrust.identity import Principal
from zerotrust.receipts.calls import current_calls
from zerotrust.revocation import Revocations


class Decider:
    """Decides about the resources of one party."""

    policy: PolicyEngine
    """The policies by which it decides from now on."""

    def __init__(self, policy: PolicyEngine, revocations: Revocations, recorder: Recorder) -> None:
        self.policy, self._revocations, self._recorder = policy, revocations, recorder

    def decide(
        self, caller: Principal, action: str, resource: Resource, otherwise: Exception | None, effect: Effect | None
    ) -> Coroutine[Any, Any, None]:
        """Decide whether a caller may do this with one resource, as `Service.decide` explains."""

        def conclude(decision: Decision) -> Coroutine[Any, Any, None]:
            known = {as_name(name): sanitize(text) for name, text in resource.attributes} if not decision else None
            event = Access(
                operation=sanitize(action),
                resource=event_parts.Resource(
                    kind=as_name(resource.kind), name=sanitize(resource.name), attributes=known
                ),
                decision=Decided.of(decision, self.policy.version),
                principal=Caller.of(caller),
                effect=effect if decision else None,
            )
            if calls := current_calls():
                calls.note_resource(sanitize(f"{resource.kind} {resource.name}"), None if decision else decision.reason)
            if not decision:  # control: denial-raised
                repeated = REQUEST.get().repeated
                if repeated is None or not repeated(decision.reason):
                    self._recorder.write_before_answer(event)
                denied = Denied(decision.reason, decision.detail)
                raise denied if otherwise is None or denied.status == 503 else otherwise  # undecided is not denied
            return self._recorder.write(event)

        decision: Decision | Awaitable[Decision]
        decision = self._revocations.check_caller(caller)  # control: caller-not-revoked-at-decision
        if decision:  # the caller may have been revoked since the gate checked
            decision = self.policy.decide_on(caller, action, resource)
        return conclude(decision) if isinstance(decision, Decision) else self._await(decision, caller, conclude)

    def _await(
        self, deciding: Awaitable[Decision], caller: Principal, conclude: Callable[[Decision], Awaitable[None]]
    ) -> Coroutine[Any, Any, None]:
        """Note at once, for the gate, that a decision is to be awaited.

        If another task awaits it (`create_task`, `gather`), a refusal stays noted, because the handler may ignore that
        task.  If the handler raises the refusal, `app.py` answers with it.
        """
        undecided, pending, here = REQUEST.get().undecided, object(), asyncio.current_task()
        undecided.add(pending)

        async def when_decided() -> None:
            raised = True
            try:
                decision = await deciding
                status = self._revocations.check_caller(caller)  # it may have been revoked since
                await conclude(decision if status else status)  # control: caller-not-revoked-when-decided
                raised = False
            except Exception as refusal:
                undecided.refusals.append(refusal)
                raise
            finally:
                if not raised or asyncio.current_task() is here:
                    undecided.discard(pending)

        return when_decided()

    async def decide_each(self, caller: Principal, questions: Sequence[Question]) -> Sequence[Decision]:
        """Answer these questions in order, without a record.  Raises `Denied` if that cannot be decided now."""
        decided = self.policy.decide_each(caller, questions)
        decisions = decided if isinstance(decided, Sequence) else await decided
        for decision in decisions:
            if decision.reason.status == 503:  # a partial list would look like a whole one
                raise Denied(decision.reason, decision.detail)
        return decisions
