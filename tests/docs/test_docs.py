"""What the texts name exists: files, make targets, ports, scopes, reasons; so a text cannot drift from the code."""

import re
from pathlib import Path

from demo.catalogue import ATTEMPTS, BY_NAME
from demo.checks import ALLOWED
from demo.refusals import _try_other_department, ask_for_identity
from demo.revocation_methods import REVOCATION_METHODS
from tests.support.pages import MAKEFILE, REGISTRY, texts
from tests.support.system import ROOT, deployment


@texts
def test_every_link_leads_to_a_file(text: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", text.read_text())

    assert [link for link in links if not (text.parent / link).exists()] == []


@texts
def test_every_path_in_backticks_exists(text: Path) -> None:
    named = re.findall(r"`([a-z-]+(?:/[\w.-]+)+|[a-z_-]+\.(?:py|js|yaml|lock|json))`", text.read_text())
    folders = [ROOT, ROOT / "zerotrust", ROOT / "keycloak-realm"]

    parties = set(REGISTRY.parties)
    if text.parent.name == "reference":  # a text of the source names the files beside it
        named = [name for name in named if "/" in name]
    missing = [n for n in named if n not in parties and not any((folder / n).exists() for folder in folders)]
    assert [name for name in missing if not name.startswith("run/")] == []


@texts
def test_every_port_that_is_named_is_a_partys_or_keycloaks(text: Path) -> None:
    named = {int(port) for port in re.findall(r"(?:localhost|127\.0\.0\.1):(\d+)", text.read_text())}
    placed = {int(port) for port in re.findall(r"port: (\d+)", text.read_text())}  # a party that the text adds

    ollama, opa, jaeger = 11434, 8181, 16686
    known = {place.port for place in deployment().parties.values()} | {8000, 8443, 9000, ollama, opa, jaeger} | placed
    assert named <= known


def test_every_make_target_says_what_it_does() -> None:
    targets = set(re.findall(r"^([a-z]+):(?!=)", MAKEFILE, re.MULTILINE))

    assert targets == set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))


def test_each_refusal_that_the_page_tells_is_one_that_the_walkthrough_tries() -> None:
    page = (ROOT / "docs" / "learn" / "walkthrough.md").read_text()
    source = (ROOT / "demo" / "refusals.py").read_text()
    refused = {(who, one.what) for who, tries in ATTEMPTS.items() for one in tries if one.control != ALLOWED}
    refused |= {(who, one.what) for who, one in BY_NAME.values()}
    refused |= set(alone := re.findall(r'(?:Attempt\(|who, what = )"([^"]+)", "([^"]+)"', source))

    assert len(alone) == 2
    told = set(re.findall(r"^\| (?!who )([^|]+) \| ([^|]+) \|", page, re.MULTILINE))
    assert told <= refused
    assert len(told) >= 10


def test_the_pages_count_the_attempts_of_the_walkthrough() -> None:
    in_order = [one for tries in ATTEMPTS.values() for one in tries if one.control != ALLOWED]
    count = len(in_order) + len(BY_NAME) + len([_try_other_department, ask_for_identity])

    assert f"\n9. {count} attempts that must be refused" in (ROOT / "README.md").read_text()
    page = (ROOT / "docs" / "learn" / "walkthrough.md").read_text()
    assert f"This part makes {count} attempts that must be refused" in page
    assert f"more than the {count} attempts above" in page


def test_the_walkthrough_calls_every_revocation_method_as_the_page_does() -> None:
    page = (ROOT / "docs" / "explain" / "revocation.md").read_text().replace("`", "")
    told = re.findall(r"^\| ([^|]+) \| [^|]+ \| \d+ ms \|", page, re.MULTILINE)

    assert [method.called for method in REVOCATION_METHODS.values()] == told
