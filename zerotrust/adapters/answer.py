"""The result of a call to another party: its answer, or the error, and whether the call may have taken effect."""

from collections.abc import Mapping
from typing import Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict

from zerotrust.decision import Denied, Reason
from zerotrust.errors import ZeroTrustError
from zerotrust.limits.bounded import cut

NONSENSE = "answered with something else than one message"
LONGEST_REFUSAL = 200
"""Characters that an account quotes of a refusal by another party or a model.  With all of it, an account could
become longer than its reader accepts, and then no user would learn what was done."""
TASK_LIFE = 60
"""Seconds that a token for an agent should last when the agent is called: its work and its report (`agent_loop.py`)."""
UNTOUCHED = frozenset(Reason) - {Reason.ANSWER_LOST, Reason.FAILED, Reason.APPLICATION_ERROR}
"""Reasons for which a party refuses before it acts; with any other, the call may have taken effect."""


Outage = Literal["", "unavailable", "no_answer", "late"]
"""Why a task did not end, if no rule and no model ended it.  A party could not be reached or could not decide; or it
gave no valid answer; or it gave none in time."""


class Answer(BaseModel):
    """An agent's answer, with an account of the calls that it made."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    """Calls without an answer: they may have taken effect."""
    broken: str = ""
    """Why the task was not completed, if it was not."""
    outage: Outage = ""


class PeerError(ZeroTrustError):
    """Another party refused, failed or could not be reached."""

    def __init__(
        self, message: str, *, unclear: bool = False, outage: Outage = "", account: Answer | None = None
    ) -> None:
        """`message` may be shown to the user; `unclear`: the call may have taken effect, for it got no answer."""
        super().__init__(message)
        self.message, self.unclear, self.account = message, unclear, account or Answer()
        self.outage: Outage = outage or ("no_answer" if unclear else "")


def outage_of(refusal: Denied) -> Outage:
    """Return the outage behind a refusal: `unavailable` if the party cannot decide or act now."""
    return "unavailable" if refusal.status == 503 else ""


def no_effect(problem: Mapping[str, Any]) -> bool:
    """Return whether a refusal excludes any effect of the call."""
    reason = str(problem.get("reason"))
    return reason in UNTOUCHED and problem.get("begun", False) is False


def refusal_error(name: str, answer: httpx.Response, *, acts: bool = True) -> PeerError:
    """Return the error for a party that answered with an error.

    `acts`: a call of that party may have an effect.  A call of a model has none, so none is unclear.
    """
    status = answer.status_code
    try:
        problem = answer.json()
        problem = problem["error"]["data"] if "jsonrpc" in problem else problem
        told, unclear = f"refused with {status}, {cut(str(problem['reason']), LONGEST_REFUSAL)}", not no_effect(problem)
    except (ValueError, KeyError, TypeError, AttributeError):
        told, unclear = f"answered with status {status}", True
    unclear = unclear and acts
    outage: Outage = ""  # a rule, a limit, or a fault of the caller
    if status == 504:
        outage = "late"
    elif status == 503 and not unclear:
        outage = "unavailable"
    elif status >= 500:
        outage = "no_answer"
    return PeerError(f"{name}: {told}", unclear=unclear, outage=outage)


def no_answer_error(name: str, error: httpx.TransportError) -> PeerError:
    """Return the error for a party that did not answer: the request may have reached it, or not."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return PeerError(f"{name}: could not be reached", outage="unavailable")
    outage: Outage = "late" if isinstance(error, httpx.TimeoutException) else "no_answer"
    return PeerError(f"{name}: gave no answer", unclear=True, outage=outage)
