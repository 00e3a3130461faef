"""The bounds that docs/how-to/operate.md tells are those of the program; the reference of `zt` is written from it."""

import re

from registration.realm import to_json
from tests.support.system import ROOT, registry
from zt.audit.query import MOST_SHOWN
from zt.people.browser import SECONDS_TO_SIGN_IN

PAGE = (ROOT / "docs" / "how-to" / "operate.md").read_text()


def test_the_bounds_are_told() -> None:
    assert f"beyond {MOST_SHOWN:,} records" in PAGE
    assert f"at a free port of 127.0.0.1 for {SECONDS_TO_SIGN_IN} seconds" in PAGE
    lifespan = re.findall(r'"oauth2.device.code.lifespan": "(\d+)"', to_json(registry()))
    assert [f"confirm, within {seconds} seconds" in PAGE for seconds in lifespan] == [True, True]  # of zt and zt-policy
