"""Tasks of the orchestrator in process."""

from typing import Any

from tests.support.system import System

FILE_IT = {"request": "Summarise our incident reports and file the summary."}


READ_IT = {"request": "Summarise our incident reports."}


async def worked(system: System, token: str, task: dict[str, str] = FILE_IT) -> tuple[list[str], dict[str, Any]]:
    """Do a task; return what happened, as `agent event`, and the last of it, with the status of the answer."""
    answer = await system.client("orchestrator", token).post("/tasks", json=task)
    told = answer.json()
    assert "result" in told, answer.text
    status = {"status": answer.status_code}
    return [f"{step['agent']} {step['event']}" for step in told["steps"]], told["result"] | status


READ = ["agent/reader started", "agent/reader done"]


NOT_READ = ["agent/reader started", "agent/writer not_begun"]
