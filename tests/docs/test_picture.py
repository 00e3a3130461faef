"""The picture shows the parties and calls of registry.yaml, and the tokens that the end-to-end test finds."""

import re
from pathlib import Path

import pytest

from tests.reference.pictures import FOLDER, pictures
from tests.support.pages import REGISTRY
from tests.support.real_tasks import DRAWN
from tests.support.system import ROOT

LIGHT, PHONE = ((FOLDER / f"parties-{kind}.svg").read_text() for kind in ("light", "phone"))
STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)
COLOUR = re.compile(r"#[0-9a-f]{3,8}\b")
REMEDY = (
    "draw it in parties-light.svg and parties-phone.svg of docs/pictures; `start/run tests.reference` makes the others"
)
both = pytest.mark.parametrize("picture", [LIGHT, PHONE], ids=["wide", "phone"])


@both
def test_every_party_is_named_in_it(picture: str) -> None:
    named = dict(re.findall(r'<g data-party="([^"]+)">(.*?)</g>', picture))

    assert set(named) == set(REGISTRY.parties), REMEDY
    assert [name for name, text in named.items() if name not in re.sub(r"<[^>]*>", " ", text)] == []


@both
def test_every_server_outside_is_dashed_in_it(picture: str) -> None:
    """Not every deployment has one."""
    drawn = dict(re.findall(r'<g data-outside="([^"]+)"><rect class="([^"]+)"', picture))

    assert drawn == dict.fromkeys(REGISTRY.outside, "outside"), REMEDY
    assert re.search(r"\.outside\{[^}]*stroke-dasharray", picture)


@both
def test_every_call_that_the_registry_allows_is_an_arrow_in_it(picture: str) -> None:
    drawn = {tuple(hop.split()) for hop in re.findall(r'data-hop="([^"]+)"', picture)}

    assert drawn == {(name, called) for name, party in REGISTRY.parties.items() for called in party.may_call}, REMEDY


@pytest.mark.parametrize("name", DRAWN)
def test_every_token_is_told_as_it_is_found_on_the_real_system(name: str) -> None:
    [row] = re.findall(rf'<g data-token="{name}">(.*?)</g>', LIGHT)
    token, azp, aud, sub, scopes, act, life = re.findall(r">([^<]+)</text>", row)
    party, audience, held, actors, seconds = DRAWN[name]

    assert (token, azp, aud, sub, life) == (name, party, audience, "alice", f"{seconds} s")
    assert set(scopes.removesuffix(" …").split()) <= set(held.split())
    assert scopes.endswith("…") or set(scopes.split()) == set(held.split())
    assert act == (", ".join(actor.removeprefix("agent/") for actor in actors) or "\N{EN DASH}")


def test_the_token_for_a_server_outside_is_told_as_the_registry_has_it() -> None:
    """The end-to-end test with such a server finds its audience, its scopes and its life."""
    drawn = dict(re.findall(r'<g data-outside-token="([^"]+)">(.*?)</g>', LIGHT))
    assert drawn.keys() == {name for name, server in REGISTRY.outside.items() if server.takes_tokens}, REMEDY

    for name, row in drawn.items():
        _, azp, aud, sub, scopes, act, life = re.findall(r">([^<]+)</text>", row)
        party = REGISTRY.outside[name].reached_by
        assert (azp, aud, sub, life) == (party, name, "alice", f"{REGISTRY.parties[party].max_ttl} s")
        assert set(scopes.split()) <= set(REGISTRY.scopes_at(name)) & set(DRAWN["T3"][2].split())
        assert act == ", ".join(actor.removeprefix("agent/") for actor in (party, *DRAWN["T3"][3]))


@pytest.mark.parametrize("file", pictures(), ids=lambda file: file.stem)
def test_every_picture_has_the_style_of_the_signs_and_no_colour_of_its_own(file: Path) -> None:
    text = file.read_text()

    assert text == pictures()[file], "run `start/run tests.reference`"
    assert COLOUR.findall(STYLE.sub("", text)) == []


def test_the_readme_shows_all_three() -> None:
    readme = (ROOT / "README.md").read_text()

    assert 'media="(max-width: 600px)" srcset="docs/pictures/parties-phone.svg"' in readme
    assert 'media="(prefers-color-scheme: dark)" srcset="docs/pictures/parties-dark.svg"' in readme
    assert '<img src="docs/pictures/parties-light.svg" width="830" alt="' in readme
