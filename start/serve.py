"""What `make up` leaves running, and what it prints when everything runs: who, where, and what to do now."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any
from urllib.parse import urljoin

from rich.text import Text

from authorities.policy.versions import Version, content_of
from registration.realm.users import USERS
from start.background import READY, detach
from start.earlier_runs import HINTS
from start.everything import running
from start.keycloak.options import URL
from start.manual_steps import RECEIPT_STEPS, steps
from start.model import Model
from start.program import FOLDER, console, paragraph, say
from start.system import HOST, ROOT, System
from zerotrust.authority.files.reading import RegistryError
from zerotrust.durable import write_file

ZT = ".venv/bin/zt --user olga"
NOW = (
    ("the console", "start/run start browser  (as alice)"),
    ("who answers", ".venv/bin/zt status  (no sign-in)"),
    ("who is suspended", f"{ZT} party list  (in a browser)"),
    ("what is wrong", "make doctor"),
    ("a token", "TOKEN=$(start/run start token alice)"),
    ("the policies", f"{ZT} policy list  (in a browser)"),
    ("why a refusal", f"{ZT} policy explain TRACE  (in a browser)"),
    ("who did what", ".venv/bin/zt audit show TRACE  (no sign-in)"),
    ("who took part", ".venv/bin/zt receipt verify ANSWER  (see below)"),
    ("logs, journals", "run/logs, run/data/*/journal.jsonl"),
)
WITHOUT_POLICIES = (
    "\nUntil then, only operators are permitted anything; others get 503 policy_unknown, or policy_expired."
)


async def serve(
    model: Model, *, beside: Callable[[System], AbstractAsyncContextManager[object]] = nullcontext, **how: Any
) -> int:
    """Run everything until stopped; print how to use it, and let the terminal go.

    `beside`: what runs beside it; `how`: more options of `running`.
    """
    async with running(FOLDER, say=say, provider=model.provider(), keep=True, **how) as system, beside(system):
        told, file = hints(system), FOLDER / HINTS
        write_file(file, told.encode())
        try:
            print(told, end="")
            for line in last_lines(system):
                console.print(line, soft_wrap=True)
            detach(FOLDER / "logs" / "local.log")
            await asyncio.Event().wait()
        finally:
            file.unlink(missing_ok=True)
    return 0


def hints(system: System) -> str:
    """Return what `make hints` prints again: addresses, passwords, and commands to try."""
    with console.capture() as printed:
        _show_addresses(system)
        console.print(steps(system), soft_wrap=True)
        paragraph("It runs in the background. Now try (TRACE is the trace_id of an answer):")
        for what, how in NOW:
            paragraph(f"{what:<17} {how}", indent=2, hanging=18)
        console.print(RECEIPT_STEPS, soft_wrap=True)
    return printed.get()


def _show_addresses(system: System) -> None:
    keycloak = system.keycloak
    admin, password = keycloak.admin
    for name in system.registry.services:
        by_browser = [urljoin(uri, "/") for uri in system.registry.parties[name].redirect_uris]
        address = by_browser[0] if by_browser else system.address(name)
        console.print(f"  {name:<16} {address}  at {HOST}:{system.port(name)}")
    console.print(f"  {'Keycloak':<16} {keycloak.issuer}")
    console.print(f"  {'its admin page':<16} {URL}/admin")
    console.print()
    console.print(f"  {admin:<8} password {password}  for the admin page")
    for user, secret in keycloak.passwords.items():
        console.print(f"  {user:<8} password {secret}  {', '.join(USERS[user][1]) or 'in no group'}")


def last_lines(system: System) -> Iterator[Text]:
    """Yield whether other policies are in force, how to stop, and who is suspended: then nothing works as it should."""
    yield from other_policies(system)
    yield Text(READY)
    yield from suspensions(system)


def suspensions(system: System) -> Iterator[Text]:
    """Yield who is suspended, each with the command that ends it."""
    for name, why in system.suspended.items():
        yield Text(
            f"\n{name} is suspended since an earlier run ({why}), and does nothing until:\n"
            f"  {ZT} party reinstate {name}" + (WITHOUT_POLICIES if name == system.registry.authorities.policy else ""),
            "red",
        )


def other_policies(system: System) -> Iterator[Text]:
    """Yield that policies/ is not in force, if so, with the commands that put it into force."""
    kept = system.data(system.registry.authorities.policy) / "versions"
    try:
        newest = max(kept.glob("*.json"), default=None)
        active = Version.model_validate_json(newest.read_bytes()) if newest else None
        differs = active and content_of(ROOT / "policies") != active.content
    except (OSError, ValueError, RegistryError):  # what cannot be read says nothing
        return
    if active and differs:
        yield Text(
            f"\npolicies/ differs from version {active.number}, which is in force.\n"
            "An operator puts it into force:\n"
            f"  {ZT} policy test\n"
            f'  {ZT} policy activate --because "..."',
            "yellow",
        )
