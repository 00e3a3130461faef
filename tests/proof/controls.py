"""Records which tests notice that a control is gone, and what every attack is answered: see README.md here."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from tests.proof.attacks import NOTED, repeated

HERE = Path(__file__).parent
CONTROLS, ATTACKS = HERE / "controls.json", HERE / "attacks.json"
WITHOUT = "succeeds without "
TESTS = "tests/attacks"
LONGEST = 400
"""Characters of a difference that are printed."""

console = Console(highlight=False, soft_wrap=True, markup=False)


class _Collected:
    """What the reports of a run say of each attack, by test."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told: dict[str, Any] = dict(report.user_properties)
        if report.when == "call" and "way" in told:
            self.found[report.nodeid] = {
                "way": told["way"],
                "passed": report.passed,
                **json.loads(told.get(NOTED, "{}")),
            }


def by_control(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for each control: the answers to its attacks as the system is, and the tests that notice its deletion."""
    controls: dict[str, dict[str, Any]] = {}
    refused = {_attack(test): one for test, one in found.items() if one["way"] == "refused"}
    for test, one in sorted(found.items()):
        if not one["way"].startswith(WITHOUT):
            continue
        way = one["way"].removeprefix(WITHOUT)
        gone = {way, *way.split(" and ")}
        tries = [each for each in one.get("tries", []) if not each["about"] or gone & {*each["about"]}]
        noticed = f"{sum(each['succeeded'] for each in tries)} of {len(tries)}" if tries else "1 of 1"
        for name in way.split(" and "):
            control = controls.setdefault(name, {"answers": [], "noticed_by": {}})
            answers = {*control["answers"], *_answers(refused.get(_attack(test), {}))}
            control["answers"] = sorted(answers)
            if one["passed"]:
                control["noticed_by"][_short(test)] = noticed
    return dict(sorted(controls.items()))


def by_attack(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for each attack on the system as it is what it was answered and what is on record."""
    return {
        _attack(test): {
            "passed": one["passed"],
            "tries": repeated(one.get("tries", ())),
            "journals": one.get("journals", {}),
        }
        for test, one in sorted(found.items())
        if one["way"] == "refused"
    }


def _answers(refused: Mapping[str, Any]) -> Iterator[str]:
    for one in refused.get("tries", ()):
        body = one.get("body", "")
        text = body if isinstance(body, str) else "\n".join(body)
        said = dict(re.findall(r"(?:^|\.)(reason|error) = (.*)", text, re.MULTILINE))
        yield f"{one.get('status', one.get('told'))} {said.get('reason', said.get('error', ''))}".rstrip()


def _short(test: str) -> str:
    return test.removeprefix(f"{TESTS}/").replace(".py::", "::")


def _attack(test: str) -> str:
    return _short(test).partition("[")[0]


def differences(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """Yield what differs between two records, by its place."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from differences(old.get(name), new.get(name), f"{at} > {name}" if at else name)
    elif isinstance(old, list) and isinstance(new, list):
        yield from (f"{at}: GONE {_told(one)}" for one in old if one not in new)
        yield from (f"{at}: NEW {_told(one)}" for one in new if one not in old)
    elif old != new:
        yield f"{at}: {_told(old)} -> {_told(new)}"


def _told(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def main(
    tests: list[str] = typer.Argument(default=None),  # noqa: B008
    *,
    record: bool = False,
    workers: int = 2,
) -> None:
    """Run the attacks and compare what they came to with what is stored; `--record` stores it."""
    collected = _Collected()
    options = ["-q", "-W", "ignore:Module already imported", "-p", "no:cacheprovider", "-p", "tests.proof.attacks"]
    if workers > 1:
        options += ["--dist", "loadscope", "--tx", f"{workers}*popen//python=start/run tests.worker"]
    code = pytest.main([*(tests or [TESTS]), *options], plugins=[collected])
    for file, new in (CONTROLS, by_control(collected.found)), (ATTACKS, by_attack(collected.found)):
        if record:
            file.write_text(_stored(new))
            continue
        old = json.loads(file.read_text())
        if tests:
            old = {name: one for name, one in old.items() if name in new}
        told = [*differences(old, new)]
        console.print(f"{file.name}: {len(old)} stored, {len(new)} found, {len(told)} differences")
        for one in told:
            console.print(f"  {one}")
        code = code or bool(told)
    sys.exit(code)


def _stored(found: Mapping[str, Any]) -> str:
    lines = [f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in found.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    typer.run(main)
