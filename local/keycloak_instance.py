"""Keycloak's folder: what a run finds there, and what the next one may go on with.

A second start builds and imports nothing that has not changed. Two seals decide that, each the digest of what it stands
for. `build.seal` is set once a build has run, and holds the digest of what the build produced as well. `data.seal` is
set only at a clean stop, after Keycloak's own events said that nobody edited the realm, and is broken at start: so a
crash, another realm file and a change made in the admin page all lead to a fresh import, and never to a realm that is
silently not the committed one.

All else in the folder is laid out anew at each start, from the distribution, which `keycloak_runtime.py` has just held
to its digest, and from the scripts; what lies there besides is removed, for Keycloak would take themes and more from
there. A build is not kept where other clones find it: what it produces differs each time, so no digest of it can be
committed.  Nobody's password outlives the run. A stopped database has one administrator whose random password lies
beside it (`handover`, good for one start): Keycloak makes an administrator only together with the database. Whoever can
read that file can read the database too, and with it the realm's signing key; the folder is its owner's alone.
"""

import hashlib
import json
import os
import re
import shutil
import socket
from pathlib import Path

from authorities.attestation.verifier.measure import MeasureError, digest_of, measure_files
from local.keycloak_runtime import VERSION
from registration.realm.script import build_jar

# A certificate is asked for and not demanded: workloads have one, people have none. One of another CA is refused.
BUILD = [
    "--db=dev-file",
    "--cache=local",
    "--features=scripts,spiffe",
    "--health-enabled=true",
    "--https-client-auth=request",
]
"""The options that a build is made with, and every start of it again."""

BUILT = "lib/quarkus"
"""What a build writes."""
_KEPT = {"data", "handover", "build.seal", "data.seal"}
_LOG = "keycloak.log"
"""Kept as well, and those that were rotated: `keycloak.log.1` and so on."""
_LONG_AGO = 315_532_800
"""1980, in seconds since 1970. Keycloak remembers when a script was last changed, and we write ours at each start."""


class Instance:
    """The folder of one Keycloak.  Everything here blocks."""

    def __init__(self, home: Path, *, realm: str, scripts: tuple[Path, ...]) -> None:
        """`realm` is what is imported, in JSON; `scripts` are the mappers that are built in."""
        self.home, self.realm, self._scripts = home, realm, scripts

    @property
    def built(self) -> bool:
        """Whether the build in this folder is the one that we want."""
        return self._sealed("build")

    def prepare(self, distribution: Path) -> str | None:
        """Lay out the instance around the shared distribution.

        Returns the administrator's password that the last run left us, or None where the database is made afresh.
        """
        self._lay_out(distribution)
        left, handover = self.home / "handover", None
        if self._sealed("data") and left.exists() and (self.home / "data").is_dir():
            handover = left.read_text()
        else:
            shutil.rmtree(self.home / "data", ignore_errors=True)
            (self.home / "data" / "import").mkdir(parents=True)
            (self.home / "data" / "import" / "realm.json").write_text(self.realm)
        for broken in ("data.seal", "handover"):
            (self.home / broken).unlink(missing_ok=True)
        return handover

    def has_run(self) -> None:
        """Seal the build: it was seen to run."""
        self._seal("build")

    def leave(self, handover: str) -> None:
        """Seal the database, after a clean stop, and leave its administrator's password to the next start."""
        left = self.home / "handover"
        left.touch(mode=0o600)
        left.write_text(handover)
        self._seal("data")

    def hosts(self) -> Path:
        """Write the only names that Keycloak will find: on this machine, no other place knows those of parties."""
        names = sorted({"localhost", socket.gethostname(), *re.findall(r'"https://([\w.-]+)', self.realm)})
        hosts = self.home / "hosts"
        hosts.write_text(f"127.0.0.1 {' '.join(names)}\n")
        return hosts

    def _lay_out(self, distribution: Path) -> None:
        """The libraries are shared; what a build writes, and what is found by its own place, is a copy."""
        lib, kept = self.home / "lib", self.home / "kept"
        self.home.mkdir(parents=True, mode=0o700, exist_ok=True)
        if built := self.built:
            shutil.rmtree(kept, ignore_errors=True)
            (self.home / BUILT).rename(kept)
        stays = {kept.name, *_KEPT}
        # control: keycloak-home-cleared
        for entry in [e for e in self.home.iterdir() if e.name not in stays and not e.name.startswith(_LOG)]:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        lib.mkdir()
        (self.home / "providers").mkdir()
        for name in ("lib", "app"):
            (lib / name).symlink_to((distribution / "lib" / name).absolute())
        shutil.copy2(distribution / "lib" / "quarkus-run.jar", lib)
        kept.rename(self.home / BUILT) if built else shutil.copytree(distribution / BUILT, self.home / BUILT)
        shutil.copytree(distribution / "conf", self.home / "conf")
        for script in self._scripts:
            jar = self.home / "providers" / f"{script.stem}.jar"
            build_jar(script, jar)
            os.utime(jar, (_LONG_AGO, _LONG_AGO))

    def _digest(self, kind: str) -> str:
        """What the seal of `kind` stands for.  Raises `MeasureError` where there is no build."""
        scripts = [script.read_text() for script in self._scripts]
        if kind == "build":
            # control: keycloak-build-measured
            parts = [VERSION, *BUILD, *scripts, digest_of(measure_files(self.home, [BUILT]))]
        else:
            parts = [VERSION, *scripts, self.realm]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _seal(self, kind: str) -> None:
        (self.home / f"{kind}.seal").write_text(self._digest(kind))

    def _sealed(self, kind: str) -> bool:
        try:
            return (self.home / f"{kind}.seal").read_text() == self._digest(kind)
        except (OSError, MeasureError):
            return False
