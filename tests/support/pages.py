"""The pages that somebody writes by hand, as paths in this repository."""

from tests.reference.pages import FOLDER, PAGES
from tests.support.system import ROOT

GENERATED = {FOLDER / name for name in PAGES}
"""Each is compared byte for byte with what its generator returns: tests/docs."""

BY_HAND = sorted(
    str(each.relative_to(ROOT))
    for each in [ROOT / "README.md", ROOT / "keycloak-realm" / "README.md", *(ROOT / "docs").rglob("*.md")]
    if each not in GENERATED
)
