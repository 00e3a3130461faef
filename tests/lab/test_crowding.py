"""What `make crowding` calls good and bad, and that its bodies are what they say."""

import json

import pytest
import typer
from typer.testing import CliRunner

from lab.load.attacks import ATTACKS, DEEP, MANY, MIB
from lab.load.crowding import MOST_WRITTEN, Seen, main, report


@pytest.mark.parametrize("body", [DEEP, MANY], ids=["deep", "many"])
def test_a_body_that_crowds_is_good_json_of_nearly_a_mebibyte(body: bytes) -> None:
    assert 0.99 * MIB < len(body) <= MIB
    assert len(json.loads(body)["kind"]) > 8000


def seen(**more: object) -> dict[str, Seen]:
    good = Seen(alone=[0.1], attacked=[0.2], operators=1, seconds=1.0, answers={"403": 7})
    for name, value in more.items():
        setattr(good, name, value)
    return {"refusals": good}


def test_a_user_who_was_never_refused_is_what_is_wanted() -> None:
    assert report(seen()) == 0


@pytest.mark.parametrize(
    "more",
    [{"wrong": ["503: [/red]"]}, {"operators": 0}, {"written": MOST_WRITTEN["refusals"] + 1.0}, {"answers": {}}],
    ids=["refused", "no operator", "written", "no attack"],
)
def test_what_an_attack_must_not_do_is_a_failure(more: dict[str, object]) -> None:
    assert report(seen(**more)) == 1


def test_an_attack_that_does_not_exist_is_an_error_that_lists_them() -> None:
    app = typer.Typer()
    app.command()(main)
    told = CliRunner().invoke(app, ["--only", "floods"], env={"COLUMNS": "200"})

    assert told.exit_code == 2
    assert f"no attack is called 'floods'; the attacks are: {', '.join(ATTACKS)}" in told.stderr
