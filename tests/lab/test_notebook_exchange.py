"""What the third notebook shows: steps in order as a figure, and an answer of Keycloak without its token."""

from typing import Any

import httpx
import jwt
import pytest

from demo.tokens import tokens_of
from lab.notebooks.exchange import answered, beside, trail_of
from lab.notebooks.figure import Arrow
from lab.notebooks.sequence import sequence
from tests.support.told_task import WAYS, registry, task

KEY = "a key that is long enough for it"


def answer(lasts: int) -> httpx.Response:
    token = jwt.encode({"iat": 1_800_000_000, "exp": 1_800_000_000 + lasts}, KEY, algorithm="HS256")
    body: dict[str, Any] = {"access_token": token, "issued_token_type": "t", "token_type": "Bearer"}
    return httpx.Response(200, json=body | {"expires_in": lasts - 1, "scope": "tool.read inference.run", "other": 1})


def test_a_token_is_answered_by_its_name_and_its_scopes_in_one_order(capsys: pytest.CaptureFixture[str]) -> None:
    answered(given := answer(60), "T2")

    said = capsys.readouterr().out
    assert given.json()["access_token"] not in said
    assert said.split()[:3] == ["200", "access_token", "<T2>"]
    assert "what is left of 60 s" in said
    assert "inference.run tool.read" in said
    assert "other" not in said


def test_a_token_that_ended_before_it_was_issued_is_said_to_have(capsys: pytest.CaptureFixture[str]) -> None:
    answered(answer(-60))

    assert "nothing: it ended before it was issued" in capsys.readouterr().out


def test_a_refusal_has_status_error_and_description_with_each_set_in_one_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answered(httpx.Response(400, json={"error": "invalid_scope", "error_description": "Not [c] in [b, a]"}))

    assert capsys.readouterr().out == "400 invalid_scope: Not [c] in [a, b]\n"


def test_tokens_beside_each_other_are_plain_text_without_their_ids(capsys: pytest.CaptureFixture[str]) -> None:
    of = registry()
    tokens = tokens_of(of, task(*WAYS, of=of))
    beside({name: tokens[name] for name in ("T0", "T1", "T2")})

    said = capsys.readouterr().out
    assert said.split()[:3] == ["T0", "T1", "T2"]
    assert "-task.run" in said
    assert "jti" not in said
    assert "\x1b" not in said


def test_steps_are_numbered_and_lead_in_either_direction() -> None:
    drawn = sequence("A <b>", ["A", "B", "C"], [Arrow("A", "C", "T<0>"), Arrow("C", "B", "T1")])

    assert 'aria-label="A &lt;b&gt;"' in drawn
    assert "1. T&lt;0&gt;" in drawn
    assert "2. T1" in drawn
    assert "M85 118H456" in drawn  # ends before the tip, at the third line
    assert "M465 162H284" in drawn


def test_what_a_party_does_by_itself_leads_back_to_its_own_line() -> None:
    drawn = sequence("A", ["A", "B"], [Arrow("A", "B", "T0"), Arrow("B", "B", "compares")])

    assert "2. compares" in drawn
    assert "M275 150h22v12H284" in drawn


def test_a_trail_is_plain_text_of_a_pages_width_with_each_token_below_the_one_it_came_from() -> None:
    of = registry()
    lines = trail_of(of, task(*WAYS, of=of)).splitlines()

    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)
    at = {name: next(line.index(f" {name} ") for line in lines if f" {name} " in line) for name in ("T0", "T1", "T2")}
    assert at["T0"] < at["T1"] < at["T2"]
    assert "\x1b" not in "".join(lines)
