"""Intruders inside the containers of genuine workloads, with their identities and the tokens that they receive."""

import json
import re

import pytest

from testkit.stack import Stack
from tests.support.compose import Tried

pytestmark = pytest.mark.compose


def test_what_is_refused_on_one_machine_is_refused_in_containers(intruders: Stack, tried: Tried) -> None:
    told = intruders.run("run", "--rm", "-T", "-e", "COLUMNS=80", "attempts", check=False).stdout

    assert re.search(r"^All \d+ checks behaved as expected: ", told, re.MULTILINE), told
    tried("the attempts of `make demo`, with intruders inside three containers", told)


ORDER = """
import socket
asked = socket.socket(socket.AF_UNIX)
asked.settimeout(60)
asked.connect("/thief/thief.sock")
asked.sendall(b'{"order": "use", "way": "another-process"}\\n')
print(asked.makefile().readline())
"""


def test_the_console_and_nobody_else_reaches_the_thief_who_is_refused_as_well(intruders: Stack, tried: Tried) -> None:
    told = intruders.execute("console", "python", "-I", "-c", ORDER)[1]

    used = json.loads(told)
    assert used["before"].startswith("200 ")
    assert (used["status"], used["reason"]) == (401, "not_bound")
    tried("a thief uses the reader's T2 from the writer", told)
    services = json.loads(intruders.run("config", "--format", "json").stdout)["services"]
    assert {name for name, one in services.items() if "thief" in str(one.get("volumes"))} == {"console", "thief"}


def test_only_the_attestation_of_the_intruders_file_knows_them(intruders: Stack) -> None:
    attested = [event for event in intruders.attestation_events() if event["event"] == "attested"]

    assert len({event["pid"] for event in attested if event["party"].endswith("/agent/reader")}) == 2
