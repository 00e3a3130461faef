"""The script mapper that writes the chain of actors, and its JAR for Keycloak."""

import json
import zipfile
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "keycloak-realm" / "delegation.js"


def build_jar(script: Path, target: Path) -> None:
    """Pack the mapper into a JAR, as Keycloak requires: a zip with a table of contents.  Same script, same bytes."""
    contents = {"mappers": [{"name": "Delegation chain", "fileName": script.name, "description": "RFC 8693 act"}]}
    with zipfile.ZipFile(target, "w") as jar:
        for name, text in [("META-INF/keycloak-scripts.json", json.dumps(contents)), (script.name, script.read_text())]:
            jar.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
