"""Intruders inside the containers of genuine workloads, with their identities and the tokens that they receive."""

import re

import pytest

from testkit.stack import Stack
from tests.support.compose import Tried

pytestmark = pytest.mark.compose


def test_what_is_refused_on_one_machine_is_refused_in_containers(intruders: Stack, tried: Tried) -> None:
    told = intruders.run("run", "--rm", "-T", "-e", "COLUMNS=80", "attempts", check=False).stdout

    assert re.search(r"^All \d+ checks behaved as expected: ", told, re.MULTILINE), told
    tried("the attempts of `make demo`, with intruders inside three containers", told)


def test_only_the_attestation_of_the_intruders_file_knows_them(intruders: Stack) -> None:
    attested = [event for event in intruders.attestation_events() if event["event"] == "attested"]

    assert len({event["pid"] for event in attested if event["party"].endswith("/agent/reader")}) == 2
