"""The system on this machine without containers: `make demo` and `make up`.  Pure."""

from dataclasses import dataclass

from scripts.diagnosis.suspended import Suspended, suspended
from scripts.diagnosis.verdict import Verdict, note, ok, skipped, wrong

KEYCLOAK = "26.7.5"
"""As in `local/keycloak_distribution.py`."""


@dataclass(frozen=True, slots=True)
class Local:
    """What `run/` and the cache have."""

    process: int | None = None
    """The process of `make up` or `make demo` that runs."""
    folder: str = ""
    """Its folder."""
    failed: str = ""
    """When the last start failed, and why, if it did."""
    environment: bool = False
    """Whether `.venv` is there."""
    keycloak_home: str = ""
    keycloak_version: str = ""
    """Of `KEYCLOAK_HOME`."""
    cached: bool = False
    """Whether Keycloak is in the cache."""
    silent: tuple[tuple[str, str], ...] = ()
    """Parties of a running system at whose port nobody listens, each with the last line of its log."""
    suspended: Suspended = ()


def needs(local: Local) -> Verdict:
    """Whether what `make` fetches is there."""
    if local.keycloak_home and local.keycloak_version != KEYCLOAK:
        found = f"is Keycloak {local.keycloak_version}" if local.keycloak_version else "is no Keycloak"
        said = f"KEYCLOAK_HOME={local.keycloak_home} {found}, and exactly {KEYCLOAK} is needed"
        return wrong("fetched", said, "unset KEYCLOAK_HOME")
    missing = [] if local.environment else ["Python packages"]
    if not (local.cached or local.keycloak_home):
        missing.append("Keycloak (175 MB)")
    if missing:
        return note("fetched", f"`make demo` will fetch {' and '.join(missing)}: it needs a way to the internet, once")
    return ok("fetched", "Python packages and Keycloak are there")


def system(local: Local) -> list[Verdict]:
    """Whether what runs answers, and who is suspended."""
    waiting = {name for name, _ in local.suspended or ()}  # they wait for the registry's feed, and do not listen before
    silent = [(name, said) for name, said in local.silent if name not in waiting]
    verdicts = []
    if local.process is None:
        if local.failed:
            verdicts.append(wrong("start", f"the last one failed: {local.failed}", "make up   (once that is repaired)"))
        verdicts.append(note("local", "nothing runs", "make up"))
    elif silent:
        name, said = silent[0]
        log = f"{local.folder}/logs/{name.replace('/', '-')}.log"
        what = f"{', '.join(name for name, _ in silent)} does not listen"
        verdicts.append(wrong("local", f"{what}: {said or 'its log is empty'}", f"make down && make up   ({log})"))
    else:
        others = "all other parties listen" if local.silent else "all parties listen"
        verdicts.append(ok("local", f"runs as process {local.process}, and {others}"))
    return verdicts + suspended(local.suspended, running=local.process is not None)


def unused() -> Verdict:
    """Say that this way was left out."""
    return skipped("local", "`make doctor WAY=local` checks `make demo` and `make up`")
