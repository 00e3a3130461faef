"""What gets past the gate and is refused by a handler or its framework: the same answer as the gate's, no more."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.types import ASGIApp

from tests.support.attack import Target
from tests.support.issuer import Issuer
from tests.support.receipts import told
from tests.support.system import running
from zerotrust.decision import Denied, Reason, ReasonCode
from zerotrust.routes import Routes, Scope
from zerotrust.service import Service


async def test_the_record_says_which_field_and_never_what_stood_in_it(target: Target) -> None:
    tried = await target.send("orchestrator", target.token("orchestrator"), body={"request": ["a secret"]})

    assert tried.recorded[-1]["detail"] == "body.request"


class Broken(Service):
    """A service with one more handler, which fails."""

    error: Exception

    def guard(self, app: Starlette, routes: Routes, **how: Any) -> ASGIApp:
        assert isinstance(app, FastAPI)

        @app.post("/broken")
        async def fail() -> None:
            raise self.error

        return super().guard(app, {**routes, ("POST", "/broken"): Scope("inference.run")}, **how)


async def broken(folder: Path, issuer: Issuer, error: Exception) -> tuple[httpx.Response, list[dict[str, Any]]]:
    """Ask a handler that fails with that error; return the answer, and what is on record."""
    kind = type("Failing", (Broken,), {"error": error})
    async with running(folder, "inference", issuer=issuer, kind=kind) as system:
        answer = await system.client("inference", Target(system, issuer).token("inference")).post("/broken")
        return answer, system.records("inference")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("secret"), 500, Reason.FAILED),
        (RecursionError("secret"), 500, Reason.FAILED),
        (HTTPException(304, "secret"), 500, Reason.FAILED),  # no error, and no answer that could be sent like one
        (Denied(Reason.RESOURCE_DENIED, "secret"), 403, Reason.RESOURCE_DENIED),
    ],
)
async def test_whatever_happens_in_a_handler_the_answer_says_its_reason_and_its_trace_and_no_more(
    tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture, error: Exception, status: int, reason: ReasonCode
) -> None:
    answer, [granted, failed] = await broken(tmp_path, issuer, error)

    assert (answer.status_code, answer.json()["reason"], answer.json()["trace_id"]) == (
        status,
        reason,
        granted["trace_id"],
    )
    assert (failed["reason"], failed["trace_id"]) == (reason, granted["trace_id"])
    assert "secret" not in answer.text + str(answer.headers)
    assert len([record for record in caplog.records if record.exc_info]) == (status == 500)


@pytest.mark.parametrize(
    ("status", "error", "header"),
    [
        (400, "invalid_request", "www-authenticate"),
        (401, "unauthorized", "www-authenticate"),
        (403, "access_denied", None),
        (404, "invalid_request", None),
        (405, "invalid_request", None),
        (409, "invalid_request", None),
        (413, "invalid_request", None),
        (422, "invalid_request", None),
        (429, "temporarily_unavailable", "retry-after"),
        (499, "invalid_request", None),
        (500, "server_error", None),
        (501, "server_error", None),
        (503, "temporarily_unavailable", "retry-after"),
    ],
)
async def test_an_error_status_that_a_handler_chose_is_kept_and_is_no_refusal_on_record(
    tmp_path: Path, issuer: Issuer, status: int, error: str, header: str | None
) -> None:
    answer, [granted] = await broken(tmp_path, issuer, HTTPException(status, "secret", {"x-quoted": "secret"}))

    assert answer.status_code == status
    assert told(answer) == {"error": error, "reason": "application_error", "trace_id": granted["trace_id"]}
    assert granted["reason"] == Reason.GRANTED
    assert [name for name in ("www-authenticate", "retry-after") if name in answer.headers] == [header] * bool(header)
    assert "secret" not in str(answer.headers)


async def test_what_cannot_be_recorded_is_not_told_either(
    tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        if (tmp_path / "inference" / "journal.jsonl").read_bytes().count(b"\n") > 1:
            raise OSError("no space left on the device")

    monkeypatch.setattr("zerotrust.audit.segments.os.fdatasync", full)

    answer, _ = await broken(tmp_path, issuer, Denied(Reason.RESOURCE_DENIED))

    assert (answer.status_code, answer.json()["reason"]) == (503, Reason.JOURNAL_UNAVAILABLE)
