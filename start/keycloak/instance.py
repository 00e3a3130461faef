"""Keycloak's folder: the files of a run, and those that the next run may reuse.

A later start reuses the build if nothing has changed, and a first start in this folder copies that of another folder of
the same clone.  `build.seal`, written once a build is complete, decides that: it is a digest that also covers its
output.  A build is not shared with other clones: its output differs each time, so no digest of it can be committed.

All other files in the folder are made again at each start, from the distribution, whose digest has just been verified
(`distribution.py`), and from the scripts; any further file is removed, because Keycloak would load themes and more
from there.  The database, too: the realm is imported at each start, so it never differs from the committed one,
and no key or password outlives the run.  Only the owner can read the folder, for a running database holds the realm's
signing key.
"""

import hashlib
import json
import os
import re
import shutil
import socket
from pathlib import Path

from authorities.attestation.verifier.measure import MeasureError, digest_of, measure_files
from registration.realm.script import build_jar
from start.keycloak.distribution import VERSION

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
_SEAL = "build.seal"
_LOG = "keycloak.log"
"""Kept as well, with the rotated files: `keycloak.log.1` and so on."""
_LONG_AGO = 315_532_800
"""1980, in seconds since 1970.  Keycloak rebuilds if a script's time has changed, and we write ours at each start."""


class Instance:
    """The folder of one Keycloak.  All methods block."""

    def __init__(self, home: Path, *, realm: str, scripts: tuple[Path, ...], others: tuple[Path, ...] = ()) -> None:
        """`realm` is the realm to import, in JSON; `scripts` are the mappers that are built in.

        `others` are folders of other instances, whose build may be copied.
        """
        self.home, self.realm, self._scripts, self._others = home, realm, scripts, others

    @property
    def built(self) -> bool:
        try:
            return (self.home / _SEAL).read_text() == self._digest(self.home)
        except (OSError, MeasureError):
            return False

    def seal(self) -> None:
        (self.home / _SEAL).write_text(self._digest(self.home))

    def write_hosts(self) -> Path:
        """Write the hosts file with the only names that Keycloak can resolve; the parties' names are not in DNS."""
        names = sorted({"localhost", socket.gethostname(), *re.findall(r'"https://([\w.-]+)', self.realm)})
        hosts = self.home / "hosts"
        hosts.write_text(f"127.0.0.1 {' '.join(names)}\n")
        return hosts

    def prepare(self, distribution: Path) -> None:
        """Make the files of the instance: link the shared libraries, and copy what a build writes, and files that find
        others relative to themselves.
        """
        lib, kept = self.home / "lib", self.home / "kept"
        self.home.mkdir(parents=True, mode=0o700, exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        if built := self.built:
            (self.home / BUILT).rename(kept)
        elif copied := self._copy_build():
            built = True
            copied.rename(kept)
        stays = {kept.name, _SEAL}
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
        (self.home / "data" / "import").mkdir(parents=True)
        (self.home / "data" / "import" / "realm.json").write_text(self.realm)

    def _copy_build(self) -> Path | None:
        """Copy the build of another instance, and its seal; return the copy, or None if no copy is as it was sealed."""
        place = self.home / "copied"
        for other in self._others:
            shutil.rmtree(place, ignore_errors=True)
            try:
                seal = (other / _SEAL).read_text()
                shutil.copytree(other / BUILT, place / BUILT)
                if seal == self._digest(place):  # the copy: the other one may be changing
                    (self.home / _SEAL).write_text(seal)
                    return place / BUILT
            except (OSError, MeasureError):
                continue
        return None

    def _digest(self, home: Path) -> str:
        """Return the digest for the seal.  Raises `MeasureError` if there is no build."""
        scripts = [script.read_text() for script in self._scripts]
        # control: keycloak-build-measured
        parts = [VERSION, *BUILD, *scripts, digest_of(measure_files(home, [BUILT]))]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
