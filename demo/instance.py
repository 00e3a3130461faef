"""Keycloak's folder: what a run finds there, and what the next one may go on with.

A second start builds and imports nothing that has not changed. Two seals decide that, each the digest of what it stands
for. `build.seal` is set once a build has run. `data.seal` is set only at a clean stop, after Keycloak's own events said
that nobody edited the realm, and is broken at start: so a crash, another realm file and a change made in the admin page
all lead to a fresh import, and never to a realm that is silently not the committed one.

Nobody's password outlives the run. A stopped database has one administrator whose random password lies beside it
(`handover`, good for one start): Keycloak makes an administrator only together with the database. Whoever can read that
file can read the database too, and with it the realm's signing key; the folder is its owner's alone.
"""

import hashlib
import json
import shutil
import socket
from pathlib import Path
from urllib.parse import urlsplit

from authorities.registry.realm import build_jar
from demo.runtime import VERSION, cache_folder, whole

# A certificate is asked for and not demanded: workloads have one, people have none. One of another CA is refused.
BUILD = [
    "--db=dev-file",
    "--cache=local",
    "--features=scripts,spiffe",
    "--health-enabled=true",
    "--https-client-auth=request",
]
"""The options that a build is made with, and every start of it again."""


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
        shared = self.home / "lib" / "lib"
        if not self.built or shared.resolve() != (distribution / "lib" / "lib").resolve():
            shutil.rmtree(self.home, ignore_errors=True)
            self._lay_out(distribution)
        left, handover = self.home / "handover", None
        if self._sealed("data") and left.exists():
            handover = left.read_text()
        else:
            shutil.rmtree(self.home / "data", ignore_errors=True)
            (self.home / "data" / "import").mkdir(parents=True)
            (self.home / "data" / "import" / "realm.json").write_text(self.realm)
        for broken in ("data.seal", "handover"):
            (self.home / broken).unlink(missing_ok=True)
        return handover

    def keep_build(self) -> None:
        """Keep what Keycloak has just built for this user's other clones."""
        if not self._shared_build.exists():
            with whole(self._shared_build) as unfinished:
                shutil.copytree(self.home / "lib" / "quarkus", unfinished)

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
        clients = json.loads(self.realm)["clients"]
        told = {urlsplit(c.get("attributes", {}).get("backchannel.logout.url", "")).hostname for c in clients}
        names = sorted({"localhost", socket.gethostname(), *filter(None, told)})
        hosts = self.home / "hosts"
        hosts.write_text(f"127.0.0.1 {' '.join(names)}\n")
        return hosts

    def _lay_out(self, distribution: Path) -> None:
        """The libraries are shared; what a build writes, and what is found by its own place, is a copy."""
        self.home.mkdir(parents=True, mode=0o700)
        (self.home / "lib").mkdir()
        (self.home / "providers").mkdir()
        for name in ("lib", "app"):
            (self.home / "lib" / name).symlink_to((distribution / "lib" / name).absolute())
        shutil.copy2(distribution / "lib" / "quarkus-run.jar", self.home / "lib")
        built = self._shared_build
        shutil.copytree(built if built.exists() else distribution / "lib" / "quarkus", self.home / "lib" / "quarkus")
        if built.exists():
            self._seal("build")
        shutil.copytree(distribution / "conf", self.home / "conf")
        for script in self._scripts:
            build_jar(script, self.home / "providers" / f"{script.stem}.jar")

    def _digest(self, kind: str) -> str:
        """What the seal of `kind` stands for."""
        scripts = [script.read_text() for script in self._scripts]
        parts = {"build": [VERSION, *BUILD, *scripts], "data": [VERSION, *scripts, self.realm]}
        return hashlib.sha256(json.dumps(parts[kind]).encode()).hexdigest()

    @property
    def _shared_build(self) -> Path:
        """Where this user's clones keep a build: it depends on nothing but what its digest covers."""
        return cache_folder() / f"keycloak-{VERSION}-built-{self._digest('build')[:16]}"

    def _seal(self, kind: str) -> None:
        (self.home / f"{kind}.seal").write_text(self._digest(kind))

    def _sealed(self, kind: str) -> bool:
        seal = self.home / f"{kind}.seal"
        return seal.exists() and seal.read_text() == self._digest(kind)
