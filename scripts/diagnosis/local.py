"""The system on this machine without containers: `make demo` and `make up`.  Pure."""

from dataclasses import dataclass

from scripts.diagnosis.verdict import Verdict, note, ok, skipped, wrong

KEYCLOAK = "26.7.5"
"""As in `local/keycloak_runtime.py`."""


@dataclass(frozen=True, slots=True)
class Local:
    """What `run/` and the cache have."""

    process: int | None = None
    """The process of `make up` or `make demo` that runs."""
    folder: str = ""
    """Its folder."""
    used: bool = False
    """Whether it ever ran here."""
    environment: bool = False
    """Whether `.venv` is there."""
    keycloak_home: str = ""
    keycloak_version: str = ""
    """Of `KEYCLOAK_HOME`."""
    cached: bool = False
    """Whether Keycloak is in the cache."""
    silent: tuple[tuple[str, str], ...] = ()
    """Parties of a running system at whose port nobody listens, each with the last line of its log."""
    suspended: tuple[tuple[str, str], ...] = ()
    """Parties that were suspended, each with the cause."""


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
    verdicts = []
    if local.process is None:
        verdicts.append(note("local", "nothing runs", "make up"))
    elif local.silent:
        name, said = local.silent[0]
        log = f"{local.folder}/logs/{name.replace('/', '-')}.log"
        what = f"{', '.join(name for name, _ in local.silent)} does not listen"
        verdicts.append(wrong("local", f"{what}: {said or 'its log is empty'}", f"make down && make up   ({log})"))
    else:
        verdicts.append(ok("local", f"runs as process {local.process}, and all parties listen"))
    if local.suspended:
        names = ", ".join(name for name, _ in local.suspended)
        said = f"{names}: all their requests are refused, also after a restart ({local.suspended[0][1]})"
        verdicts.append(note("suspended", said, f"zt party reinstate {local.suspended[0][0]}"))
    return verdicts


def unused() -> Verdict:
    """Say that this way was left out."""
    return skipped("local", "`make doctor WAY=local` checks `make demo` and `make up`")
