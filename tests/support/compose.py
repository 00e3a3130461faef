"""What each container can reach, and whether tasks succeed there."""

from collections.abc import Callable

import httpx

from testkit.users import User

SignIn = Callable[[str], User]


def works(sign_in: SignIn) -> bool:
    """Whether a user can sign in, and a task of theirs succeeds."""
    try:
        answer = sign_in("alice").send("orchestrator", "/tasks", json={"request": "Summarise the incident reports."})
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and answer.json()["result"]["event"] == "finished"


PORTS = dict.fromkeys(("orchestrator", "reader", "writer", "documents", "inference", "registry", "audit"), 443)
PORTS |= {"keycloak": 8443, "database": 5432}


EVERYBODYS = {"registry", "audit", "keycloak"}
"""Every party follows the feed, delivers its journal, and asks the issuer."""


REACHED = {
    "orchestrator": {"orchestrator", "reader", "writer", "inference"} | EVERYBODYS,
    "reader": {"reader", "documents", "inference"} | EVERYBODYS,
    "writer": {"writer", "documents", "inference"} | EVERYBODYS,
    "documents": {"documents"} | EVERYBODYS,
    "inference": {"inference"} | EVERYBODYS,
    "audit": EVERYBODYS,
}


CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reached(place):
    try:
        socket.create_connection(place[1:], timeout=5).close()
    except OSError:
        return ""
    return place[0]
places = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(places)) as all_at_once:
    print(*filter(None, all_at_once.map(reached, places)), sep="\\n")
"""


Tried = Callable[[str, str], None]
