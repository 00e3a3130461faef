"""What came of asking another party: its answer, or why there is none, and whether it may have done what was asked."""

import httpx
from pydantic import BaseModel, ConfigDict

from zerotrust.decision import Reason
from zerotrust.errors import ZeroTrustError

NONSENSE = "answered with something else than one message"
UNTOUCHED = frozenset(Reason) - {
    Reason.ANSWER_LOST,
    Reason.EXPIRED,
    Reason.REVOKED,
    Reason.FAILED,
    Reason.APPLICATION_ERROR,
}
"""Reasons for which a party refuses before it does anything; for any other it may have done what was asked."""


class Answer(BaseModel):
    """What an agent found, and an account of the calls it made for that."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    """Calls that nobody answered: they may have been done."""
    broken: str = ""
    """Why it came to no end, if it did not."""


class PeerError(ZeroTrustError):
    """Another party refused, failed or could not be reached."""

    def __init__(self, told: str, *, unclear: bool = False, account: Answer | None = None) -> None:
        """`told` is fit for the user; `unclear`: what was asked for may have been done all the same."""
        super().__init__(told)
        self.told, self.unclear, self.account = told, unclear, account or Answer()


def refused(name: str, answer: httpx.Response) -> PeerError:
    """What to tell of a party that answered with an error."""
    try:
        told = answer.json()
        reason = str((told["error"]["data"] if "jsonrpc" in told else told)["reason"])
    except (ValueError, KeyError, TypeError):
        return PeerError(f"{name}: answered with status {answer.status_code}", unclear=True)
    return PeerError(f"{name}: refused with {answer.status_code}, {reason}", unclear=reason not in UNTOUCHED)


def unreached(name: str, error: httpx.TransportError) -> PeerError:
    """What to tell of a party that did not answer: it may have been asked, or not."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return PeerError(f"{name}: could not be reached")
    return PeerError(f"{name}: gave no answer", unclear=True)
