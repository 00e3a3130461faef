"""Each page of docs/reference that a program writes is what the program returns."""

from typing import get_args

import pytest

from registration.licences import UNKNOWN
from tests.reference.bounds import bounds, exists, is_there, told
from tests.reference.events import EXAMPLES
from tests.reference.pages import FOLDER, PAGES
from zerotrust.audit import event_types


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_its_generator_returns(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "start/run tests.reference"


def test_each_licence_is_known_and_the_lgpl_is_where_keycloaks_client_is_alone() -> None:
    rows = [line.split(" | ") for line in (FOLDER / "licences.md").read_text().splitlines() if line.startswith("| ")]

    assert [row for row in rows if row[1] == UNKNOWN] == []
    assert [(row[0].split()[1], row[2]) for row in rows if "GPL" in row[1]] == [("jwcrypto", "registry, tools |")]


WITHOUT_A_TEST = {"MOST_WAITING"}
"""The queue of connections is the kernel's own."""


def test_each_limit_says_why_and_what_happens_above_it_and_which_test_goes_above_it() -> None:
    incomplete = {bound.name for bound in bounds() if not (bound.why and bound.beyond and bound.tests)}

    assert incomplete == WITHOUT_A_TEST


def test_what_is_said_of_a_limit_is_of_one_that_is_there() -> None:
    assert [bound for bound in told() if not is_there(bound)] == []
    assert [test for bound in told() for test in bound.tests if not exists(test)] == []


def test_there_is_one_example_of_each_type_of_event() -> None:
    assert [type(event.data) for event in EXAMPLES] == [*get_args(event_types.Data)]
