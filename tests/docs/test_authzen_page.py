"""The question on the page gets the answer on the page."""

import json
import re

from authorities.policy.authzen_api import EVALUATION
from authorities.policy.authzen_routes import ROUTES
from tests.support.pdp import answered, point
from tests.support.system import ROOT, registry

PAGE = (ROOT / "docs" / "reference" / "authzen.md").read_text()
QUESTION, ANSWER = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_the_question_on_the_page_gets_its_answer() -> None:
    said = answered(point(registry()), EVALUATION, QUESTION.encode())

    expected = json.loads(ANSWER)
    assert said | {"context": said["context"] | {"policy": ""}} == expected | {
        "context": expected["context"] | {"policy": ""}
    }


def test_every_endpoint_on_the_page_is_there_and_no_other_one() -> None:
    told = set(re.findall(r"^\| `(POST|GET) ([^`]*)`", PAGE, re.MULTILINE))

    assert told == ROUTES.keys()
