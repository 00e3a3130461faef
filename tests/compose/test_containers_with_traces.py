"""The overlay compose.traces.yaml, on real containers: Jaeger's API shows a trace of a task's records."""

import json
from typing import Any

import httpx
import pytest

from testkit.stack import Stack, wait_until
from tests.support.compose import CONNECT, PORTS, SignIn
from tests.support.system import ROOT

pytestmark = pytest.mark.compose


@pytest.fixture(scope="module")
def with_traces(stack: Stack) -> Stack:
    """The containers of both files."""
    more = Stack(ROOT, ["docker-compose.yml", "start/compose.traces.yaml"])
    more.start()
    assert stack.project == more.project
    return more


def spans(stack: Stack, trace_id: str) -> list[dict[str, Any]]:
    """What Jaeger has of a trace, by its API."""
    address = stack.run("port", "jaeger", "16686").stdout.strip()
    answer = httpx.get(f"http://{address}/api/traces/{trace_id}")
    found = [one for trace in answer.json()["data"] or [] for one in trace["spans"]]
    return [one | {"tags": {tag["key"]: tag["value"] for tag in one["tags"]}} for one in found]


def run_task(sign_in: SignIn) -> str:
    """Run a task, and return the id of its trace."""
    answer = sign_in("alice").send("orchestrator", "/tasks", json={"request": "Summarise the incident reports."})
    return str(answer.json()["result"]["trace_id"])


def test_a_task_is_a_trace_in_jaeger_and_a_restart_doubles_none_of_it(with_traces: Stack, zt_user: SignIn) -> None:
    first = run_task(zt_user)
    task = {"POST /tasks", "invoke_agent reader", "chat", "tools/call read", "exchange tool/documents"}

    def is_there(trace: str) -> bool:
        """Whether it is all there: the parties deliver their records one after another."""
        return task <= {one["operationName"] for one in spans(with_traces, trace)}

    assert wait_until(lambda: is_there(first)), with_traces.log("traces")
    [root] = [one for one in spans(with_traces, first) if one["operationName"] == "POST /tasks"]
    assert root["tags"]["http.response.status_code"] == 200
    with_traces.container("traces").restart()
    second = run_task(zt_user)
    assert wait_until(lambda: is_there(second)), with_traces.log("traces")
    records = [one["tags"]["zt.record"] for one in spans(with_traces, first)]
    assert len(records) == len(set(records))


def test_the_exporter_reaches_jaeger_and_nobody_else(with_traces: Stack) -> None:
    known = [
        (name, network["IPAddress"], port)
        for name, port in (PORTS | {"jaeger": 4318}).items()
        for network in with_traces.container(name).attrs["NetworkSettings"]["Networks"].values()
    ]
    printed = with_traces.execute("traces", "python", "-I", "-c", CONNECT, json.dumps(known))[1]

    assert set(printed.splitlines()) == {"jaeger"}
