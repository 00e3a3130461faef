"""The pages of docs/reference, each with the function that returns its text."""

from collections.abc import Callable, Mapping

from registration import licences
from tests.attacks import table
from tests.reference import bounds, commands, events, gate, policies, reasons, settings
from tests.support.system import ROOT

FOLDER = ROOT / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "attacks.md": table.markdown,
    "audit-events.md": events.page,
    "bounds.md": bounds.page,
    "gate.md": gate.page,
    "licences.md": licences.page,
    "policies.md": policies.current,
    "reasons.md": reasons.page,
    "registry-yaml.md": settings.registry,
    "settings.md": settings.settings,
    "zt.md": commands.page,
    "../../console/static/reasons.json": reasons.words,
}
