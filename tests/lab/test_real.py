"""How the comparison meets the real system, without one: what it takes for an answer, and what it asks for again."""

import json
from datetime import timedelta
from typing import Any, cast

import httpx

from demo.intruder import Intruder
from lab.before.real import Real
from start.system import Running
from zerotrust.decision import Reason

FINISHED = {"steps": [], "result": {"event": "finished", "text": "done", "trace_id": "t"}}
HELD = {"authorization": "Bearer of the reader"}


class Sent:
    """An intruder whose requests are answered one after the other."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self.answers, self.tokens = list(answers), list[str | None]()

    async def send(self, _who: str | None, _name: str, _path: str, token: str | None, **_: Any) -> httpx.Response:
        self.tokens.append(token)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


def says(status: int, body: Any) -> httpx.Response:
    answer = httpx.Response(status, json=body)
    answer.elapsed = timedelta(milliseconds=7)
    return answer


def refuses(reason: Reason) -> httpx.Response:
    return says(reason.status, {"error": "e", "reason": str(reason)})


def system(sent: Sent) -> Real:
    return Real(cast("Running", None), cast("Intruder", sent), cast("Any", None))


async def test_a_service_that_cannot_tell_is_asked_again() -> None:
    unknown = {"event": "failed", "text": "agent/reader: peer_unavailable", "trace_id": "u"}
    sent = Sent(refuses(Reason.REVOCATION_UNKNOWN), says(503, {"steps": [], "result": unknown}), says(200, FINISHED))
    here = system(sent)

    answer = await here.task({}, "x")

    assert answer.ok
    assert json.loads(answer.text) == FINISHED
    assert (here.trace, sent.answers) == ("t", [])


async def test_a_service_that_never_can_tell_is_not_asked_for_ever() -> None:
    here = system(Sent(refuses(Reason.REVOCATION_UNKNOWN)))
    here.patience = 0

    assert (await here.call("orchestrator", HELD, by="agent/reader")).said == "503 revocation_unknown"
