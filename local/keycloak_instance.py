"""Keycloak's folder: the files of a run, and those that the next run may reuse.

A later start reuses the build and the database if nothing has changed.  Two seals decide that, each a digest.
`build.seal` is written once a build has run, and also covers its output.  `data.seal` is written only at a clean stop,
if Keycloak's own events show that the realm was not edited, and is removed at start.  So after a crash, with another
realm file, or after a change in the admin page, the realm is imported again, and never differs silently from the
committed one.

All other files in the folder are made again at each start, from the distribution, whose digest `keycloak_runtime.py`
has just verified, and from the scripts; any further file is removed, because Keycloak would load themes and more from
there.  A build is not shared with other clones: its output differs each time, so no digest of it can be committed.
Users' passwords do not outlive the run.  A stopped database has one administrator, whose random password is in a file
beside it (`handover`, valid for one start), because Keycloak makes an administrator only together with the database.
A process that can read that file can read the database as well, with the realm's signing key; only the owner can read
the folder.
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

# A certificate is optional: workloads have one, people have none.  One of another CA is refused.
BUILD = [
    "--db=dev-file",
    "--cache=local",
    "--features=scripts,spiffe",
    "--health-enabled=true",
    "--https-client-auth=request",
]
"""The options of a build, which every start has to repeat."""

BUILT = "lib/quarkus"
"""The output of a build."""
_KEPT = {"data", "handover", "build.seal", "data.seal"}
_LOG = "keycloak.log"
"""Kept as well, with the rotated ones: `keycloak.log.1` and so on."""
_LONG_AGO = 315_532_800
"""1980, in seconds since 1970.  Keycloak rebuilds if a script's time has changed, and we write ours at each start."""


class Instance:
    """The folder of one Keycloak.  All methods block."""

    def __init__(self, home: Path, *, realm: str, scripts: tuple[Path, ...]) -> None:
        """`realm` is the realm to import, in JSON; `scripts` are the mappers that are built in."""
        self.home, self.realm, self._scripts = home, realm, scripts

    @property
    def built(self) -> bool:
        """Whether the build in this folder is current."""
        return self._sealed("build")

    def prepare(self, distribution: Path) -> str | None:
        """Make the files of the instance from the shared distribution.

        Return the administrator's password of the last run, or None if the database has to be made again.
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
        """Seal the build, after it has run."""
        self._seal("build")

    def leave(self, handover: str) -> None:
        """Seal the database, after a clean stop, and store its administrator's password for the next start."""
        left = self.home / "handover"
        left.touch(mode=0o600)
        left.write_text(handover)
        self._seal("data")

    def hosts(self) -> Path:
        """Write the hosts file with the only names that Keycloak can resolve; the parties' names are not in DNS."""
        names = sorted({"localhost", socket.gethostname(), *re.findall(r'"https://([\w.-]+)', self.realm)})
        hosts = self.home / "hosts"
        hosts.write_text(f"127.0.0.1 {' '.join(names)}\n")
        return hosts

    def _lay_out(self, distribution: Path) -> None:
        """Link the shared libraries; copy what a build writes, and files that find others relative to themselves."""
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
        """Return the digest for the seal of `kind`.  Raises `MeasureError` if there is no build."""
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
