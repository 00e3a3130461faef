"""Our scripts in Keycloak: they write the chain of actors, the key of a token, no groups, and ask for consent."""

import json
import zipfile
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "keycloak-realm"
SCRIPT = _FOLDER / "delegation.js"
"""The mapper that writes the chain of actors."""
SCRIPTS = (SCRIPT, _FOLDER / "binding.js", _FOLDER / "groups.js", _FOLDER / "consent.js")
"""All that the committed realm uses."""


def build_jar(script: Path, target: Path) -> None:
    """Pack a script into a JAR, as Keycloak requires: a zip with a table of contents.  Same script, same bytes.

    It is an authenticator if it defines `authenticate`, and a mapper otherwise.
    """
    kind = "authenticators" if "function authenticate(" in script.read_text() else "mappers"
    contents = {kind: [{"name": script.stem, "fileName": script.name, "description": script.name}]}
    with zipfile.ZipFile(target, "w") as jar:
        for name, text in [("META-INF/keycloak-scripts.json", json.dumps(contents)), (script.name, script.read_text())]:
            jar.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
