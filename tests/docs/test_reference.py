"""Each page of docs/reference is what its generator returns: nobody edits one by hand."""

import pytest

from tests.reference.pages import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_its_generator_returns(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "scripts/run tests.reference"


def test_no_page_is_written_by_hand() -> None:
    assert {page.name for page in FOLDER.iterdir()} == {*PAGES}
