"""docs/reference/licences.md: which packages the images have, and what each package says of its licence."""

import re
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "licences.md"
LOCKS = {
    "run": "base",
    "registry": "registry, tools",
    "inference": "inference",
    "traces": "traces",
    "ogx": "llama-stack",
}
"""The images that install a lock, by the middle of the lock's name."""
UNKNOWN = "is not installed here"
HEAD = """\
# Licences of the images' packages

`start/run tests.reference` writes this page, from the locks and from what each package declares. For a package
that is not installed, it keeps the earlier entry. The images of Python, PostgreSQL and Keycloak, on which ours are
built, have their own. `base` is in each image but `llama-stack`.

| package | licence, as declared | images |
|---|---|---|
"""


def declared(about: Mapping[str, Any]) -> str:
    """Return what a package says of its licence: as an expression, in a few words, or by its classifiers."""
    classes = [one.rpartition(" :: ")[2] for one in about.get("classifier", []) if one.startswith("License :: ")]
    words = about.get("license", "").partition("\n")[0] if len(classes) < 2 else ""
    return str(about.get("license_expression") or words or "; ".join(classes) or "none: see its file LICENSE")


def page() -> str:
    """Return the page."""
    path = [*sys.path, *(str(folder) for folder in ROOT.glob(".ogx/lib/*/site-packages"))]
    written = PAGE.read_text() if PAGE.exists() else ""
    licences = dict(re.findall(r"^\| (\S+ \S+) \| ([^|]+) \|", written, re.MULTILINE))
    for each in distributions(path=path):
        name = re.sub(r"[-_.]+", "-", each.name).lower()
        licences[f"{name} {each.version}"] = declared(each.metadata.json)
    images: dict[str, list[str]] = {}
    for lock, image in LOCKS.items():
        pins = (ROOT / "start" / "locks" / f"requirements.{lock}.lock").read_text()
        for name, version in re.findall(r"^(\S+)==(\S+) (?!; sys_platform ==)", pins, re.MULTILINE):
            images.setdefault(f"{name} {version}", []).append(image)
    return HEAD + "".join(
        f"| {one} | {licences.get(one, UNKNOWN)} | {', '.join(images[one])} |\n" for one in sorted(images)
    )
