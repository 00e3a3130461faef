"""Derives from `registry.yaml` the files that say where each party runs, and whom it connects to.

`make register` writes them, and `make check` compares them: address files, `docker-compose.yml`, Kubernetes' manifests.
"""

from pathlib import Path

from registration.derived import addresses, compose, kubernetes
from zerotrust.registry.model import Registry


def differing(registry: Registry, root: Path) -> dict[str, str]:
    """Return the derived files of a project that are missing or differ, by path, with the text that each should have.

    Raises `OSError` if a file that they are made from cannot be read.
    """
    template, packaged = (root / compose.TEMPLATE).read_text(), compose.with_packages(registry, root)
    files = {
        **addresses.files(registry),
        **kubernetes.files(registry),
        compose.FILE: compose.text(registry, template, packaged),
    }
    return {
        path: text for path, text in files.items() if not (root / path).exists() or (root / path).read_text() != text
    }
