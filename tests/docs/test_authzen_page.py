"""The question on the page gets the answer on the page."""

import json
import re

from authorities.policy.authzen_api import EVALUATION
from tests.support.pdp import answered, point
from tests.support.system import ROOT, registry

PAGE = (ROOT / "docs" / "reference" / "authzen.md").read_text()
QUESTION, ANSWER = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_the_question_on_the_page_gets_its_answer() -> None:
    status, said, _ = answered(point(registry()), EVALUATION, QUESTION.encode(), content_type="application/json")

    expected = json.loads(ANSWER)
    assert status == 200
    assert isinstance(said, dict)
    assert said | {"context": said["context"] | {"policy": ""}} == expected | {
        "context": expected["context"] | {"policy": ""}
    }


def test_every_endpoint_on_the_page_is_there_and_no_other_one() -> None:
    told = set(re.findall(r"^\| `POST ([^`]*)`", PAGE, re.MULTILINE))

    for path in told:
        assert answered(point(registry()), path, b"{}", content_type="application/json").status == 400
    assert len(told) == 2
