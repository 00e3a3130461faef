"""Our containers: which of them does not work, and why, from its state and its log.  Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scripts.diagnosis.logs import Refusal, last_words, refusals, remedy
from scripts.diagnosis.project import OF_LLAMA_STACK, ONCE, SERVICES
from scripts.diagnosis.verdict import Verdict, note, ok, skipped, wrong

STALE = "imported from an older keycloak-realm/realm.json"
"""What `deploy/setup.py` says of a realm in the volumes that is not the one of the images."""
ANEW = "docker compose down -v && docker compose up --wait"
UP = "docker compose up --wait"
UP_WITH_SERVER = "docker compose -f docker-compose.yml -f compose.llama-stack.yaml up --wait"
NO_IDENTITY = "no SVID: gRPC error: StatusCode.PERMISSION_DENIED"
"""What a party logs that attestation refuses (`zerotrust/spiffe/workload.py`)."""
LATELY = 10
"""Lines of a log: what is older may be of an earlier start."""
STOPPED = {0, 130, 137, 143}
"""Exit statuses of a main process that was told to end."""


@dataclass(frozen=True, slots=True)
class Container:
    """What Docker says of one container."""

    service: str
    status: str
    health: str = ""
    exit_status: int = 0
    pid: int = 0
    out_of_memory: bool = False
    error: str = ""
    """Docker's own, for example that a port is taken."""
    check: str = ""
    """The last words of its health check."""
    log: tuple[str, ...] = ()
    """The last lines, the latest last."""
    seconds: int = 0
    """Since its start."""
    folder: str = ""
    """From which `docker compose` started it."""

    @property
    def works(self) -> bool:
        """Whether it does what it should: one ends after its work, the others are healthy."""
        if self.service == ONCE:
            return self.status == "exited" and self.exit_status == 0
        return self.status == "running" and self.health in ("healthy", "")

    @property
    def starts(self) -> bool:
        """Whether it may still come to work by itself."""
        return self.status == "running" and self.health == "starting" and not self.refused

    @property
    def refused(self) -> bool:
        """Whether attestation has refused it."""
        return any(NO_IDENTITY in line for line in self.log[-LATELY:])

    @property
    def stale(self) -> bool:
        """Whether it is `setup`, and has found an older realm in the volumes."""
        return self.exit_status != 0 and any(STALE in line for line in self.log)


def realm(found: Sequence[Container]) -> Verdict:
    """Whether the realm in the volumes is the one of the images."""
    setup = next((one for one in found if one.service == ONCE), None)
    if setup is None:
        return skipped("realm", "nothing was started")
    if setup.stale:
        said = "the realm in the volumes is older than the images, and Keycloak imports into an empty database only"
        return wrong("realm", said, f"{ANEW}   (removes documents, journals, revocations)")
    if not setup.works:
        return skipped("realm", f"setup has not done its work ({setup.status})")
    return ok("realm", "the one of the images")


def services(found: Sequence[Container], root: str) -> list[Verdict]:
    """Return one verdict for all that work, and one for each service that does not."""
    if not found:
        return [note("containers", "none: not started", UP)]
    by_name = {one.service: one for one in found}
    with_server = any(name in by_name for name in OF_LLAMA_STACK)
    known = [*SERVICES, *(OF_LLAMA_STACK if with_server else ())]
    up = UP_WITH_SERVER if with_server else UP
    refused = refusals(by_name["attestation"].log) if "attestation" in by_name else []
    verdicts: list[Verdict] = []
    working = [name for name in known if name in by_name and by_name[name].works]
    fails = any(not one.works and not one.starts for one in found)
    earlier = "the realm" if any(one.stale for one in found) else ""
    waits = [name for name in known if name not in by_name or by_name[name].status == "created"]
    for name in [*(name for name in known if name not in waits), *waits]:  # first what the others wait for
        one = by_name.get(name)
        if name in working or (one and one.stale):
            continue
        if one and one.starts and fails:
            verdicts.append(skipped(name, f"is starting, for {one.seconds} s"))
            continue
        verdict = _of_service(name, one, earlier, refused, up)
        twin = next((other for other in verdicts if other.said == verdict.said), None)
        verdicts.append(replace(verdict, said=f"the same as {twin.about}") if twin else verdict)
        earlier = earlier or name
    total = len(working)
    if elsewhere := next((one.folder for one in found if one.folder not in ("", root)), ""):
        verdicts.append(note("containers", f"{total} work; started from another folder, {elsewhere}"))
    else:
        verdicts.append((ok if total == len(known) else note)("containers", f"{total} of {len(known)} work"))
    if refused and total == len(known):
        said = f"all parties have an identity, and attestation refused {len(refused)} other requests; the last: "
        said += refused[-1].why
        verdicts.append(note("refusals", said))
    return verdicts


def _of_service(name: str, one: Container | None, earlier: str, refused: list[Refusal], up: str) -> Verdict:
    """Return the verdict on a service that does not work.  `earlier`: the first one of which that was said already."""
    if one is None or (one.status == "created" and not one.error):
        if earlier:
            return skipped(name, f"not started, after what is wrong with {earlier}")
        return wrong(name, "was not started", up)
    if one.status == "created":
        return wrong(name, f"was not started: {one.error}", remedy(one.error) or up)
    if one.out_of_memory:
        return wrong(name, "ran out of memory; its limit is in the compose file (mem_limit)", up)
    return _of_container(one, refused, up)


def _of_container(one: Container, refused: list[Refusal], up: str) -> Verdict:
    name = one.service
    if refused and one.refused:
        own = [refusal.why for refusal in refused if refusal.pid == one.pid]
        why = own[-1] if own else refused[-1].why
        said = f"has no identity; {'attestation refuses it' if own else 'the last that attestation refused'}: {why}"
        return wrong(name, said, remedy(why) or "docker compose logs attestation")
    if one.starts:
        return wrong(name, f"is starting, for {one.seconds} s", f"{up}   (waits for it; then ask again)")
    if one.status == "exited" and one.exit_status in STOPPED and name != ONCE:
        return wrong(name, f"was stopped (status {one.exit_status})", up)
    state = {
        "exited": f"has ended with status {one.exit_status}",
        "restarting": f"ends again and again, with status {one.exit_status}",
        "running": "runs and is not healthy",
    }.get(one.status, f"is {one.status}")
    last = one.error or last_words(one.log) or one.check
    again = f"docker compose {'unpause' if one.status == 'paused' else 'restart'} {name}"
    repair = remedy(last) or f"{again}   (docker compose logs {name})"
    return wrong(name, f"{state}: {last}" if last and one.status != "paused" else state, repair)
