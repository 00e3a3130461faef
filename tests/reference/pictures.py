"""The pictures of the docs: drawn by hand, with the style of `zt.signs`; the dark one is made of the light one."""

import re
from pathlib import Path

from tests.support.system import ROOT
from zt.signs import DARK, EITHER, LIGHT

FOLDER = ROOT / "docs" / "pictures"
_STYLE = re.compile(r"(?<=<style>).*?(?=</style>)", re.DOTALL)


def pictures() -> dict[Path, str]:
    """Return what each picture has to be."""
    parties = {FOLDER / f"parties-{kind}.svg": style for kind, style in (("light", LIGHT), ("dark", DARK))}
    drawn = (FOLDER / "parties-light.svg").read_text()
    others = {file: _STYLE.sub(EITHER, file.read_text()) for file in FOLDER.glob("*.svg") if file not in parties}
    return others | {file: _STYLE.sub(style, drawn) for file, style in parties.items()}
