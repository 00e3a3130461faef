"""`docs/reference/feed.md` shows the lines as they are made, and says of which topic each is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.feed import ME
from tests.support.policies import signed
from tests.support.system import ROOT, registry
from zerotrust.authority.files.lock import load_lock
from zerotrust.registry.events import all_changes, document, heartbeat, one_change, state
from zerotrust.registry.snapshot import RegistrySnapshot
from zerotrust.registry.topics import HEARTBEAT, KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "feed.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"^```json\n(.*)\n```$", PAGE, re.MULTILINE)]
KNOWN = RegistrySnapshot(registry=registry(), addresses={}, approved=load_lock(ROOT / "registry.lock").parties)
MADE = [
    document(ME, 4, KNOWN),
    document(ME, 2, signed()),
    state(ME, 120, {("party", "spiffe://agents.example/agent/reader"): "drift: agents/reader/main.py"}),
    one_change(ME, 121, ("session", "0b6e1f3a"), "keycloak: logout"),
    all_changes(ME, 122, [(("token", "trrtte:0c3e9b44"), "keycloak: revoked"), (("user", "alices-id"), None)]),
    heartbeat(ME, {"registry": 4, "policy": 2, "revocations": 123}, {"attestation": 0.4, "keycloak": 0.2}),
]


@pytest.mark.parametrize(("example", "made"), list(zip(EXAMPLES, map(json.loads, MADE), strict=True)))
def test_each_example_is_what_is_made(example: dict[str, Any], made: dict[str, Any]) -> None:
    leave = {name: example[name] for name in ("iat", "jti", "document") if name in example}

    assert list(made) == list(example)
    assert made | leave == example


def test_the_table_says_the_topic_of_each_type() -> None:
    told = re.findall(r"^\| `([\w+]+jwt)` \| (\w*) +\|", PAGE.replace("| |", "|  |"), re.MULTILINE)

    assert told == [(kind.type, "" if kind is HEARTBEAT else kind.name) for kind in KINDS.values()]
