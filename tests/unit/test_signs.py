"""The console has the colours and marks of all pictures, and they can be read and told apart."""

import re

import pytest

from tests.support.system import ROOT
from zt.signs import PAGE, SIGNS, Sign

CSS = (ROOT / "console" / "static" / "console.css").read_text()


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2) of `#rrggbb`."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_console_has_these_colours_and_no_others_by_their_names() -> None:
    for page, css in zip(("light", "dark"), CSS.split("prefers-color-scheme: dark"), strict=True):
        defined = dict(re.findall(r"--([a-z]+): ?(#[0-9a-f]{6})", css))
        assert defined == {name: getattr(sign, page) for name, sign in (SIGNS | PAGE).items()}


def test_the_console_marks_each_outcome() -> None:
    marks = dict(
        re.findall(r'^\.([a-z]+)::before \{ content: "(.+) "; \}$', CSS.replace(r"\fe0e ", "\ufe0e"), re.MULTILINE)
    )
    assert marks == {name: sign.mark for name, sign in SIGNS.items() if sign.mark}


@pytest.mark.parametrize("sign", [*SIGNS.values(), PAGE["ink"], PAGE["faint"]])
def test_text_in_each_colour_can_be_read(sign: Sign) -> None:
    for ground in PAGE["paper"], PAGE["raised"]:
        assert contrast(sign.light, ground.light) >= 4.5
        assert contrast(sign.dark, ground.dark) >= 4.5
