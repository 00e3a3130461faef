"""Carries out a command as an operator: signs them in, asks the authority, and shows the result.

Modules that connect are imported where a command needs them: usage errors and `--help` do not wait for it.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import RenderableType

from zt.output import output

if TYPE_CHECKING:
    from zerotrust.registry.model import Registry
    from zt.people.authorities import Place
    from zt.people.authority_client import AuthorityClient
    from zt.people.login import SignIn
    from zt.people.registry_client import RegistryClient

T = TypeVar("T")
C = TypeVar("C", bound="AuthorityClient")

ISSUER = "https://localhost:8443/realms/"
"""The issuer of the realm that the registry names, unless the user names another."""
MAX_WHY = 200
"""Characters of a reason: as many as the authorities take (`Why` of the policy authority, causes of the registry)."""


def _check_reason(parameter: typer.CallbackParam, given: str) -> str:
    """Return the reason that a command needs; exit with a message if it is none, before anybody signs in."""
    why = given.strip()
    if parameter.required and not re.fullmatch(rf"[^\x00-\x1f\x7f]{{1,{MAX_WHY}}}", why):
        output.fail(f"A reason (--because) is one line of 1 to {MAX_WHY} characters.", "malformed_reason")
    return given


Because = Annotated[str, typer.Option(help="the reason, for the record: one line", callback=_check_reason)]
NOTIFIED_AGAIN = "the registry notifies it again until it does, and there is nothing left to do here."


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that stand before a command."""

    user: str
    """The operator who is expected; "" is anybody."""
    device: bool
    """Whether to sign in by a code, although there may be a browser here."""
    system: Path
    """The folder of registry.yaml."""
    deployment: Path
    """The file that says where the parties run."""
    ca: Path
    """The certificate authority's file (PEM)."""
    issuer: str
    """The issuer of the operators' tokens; "" is the realm that the registry names, on this machine."""
    journals: Path
    """The folder of the journals on this machine."""
    party: str = ""
    """The party that this process operates as, instead of a person."""

    @property
    def run(self) -> Path:
        """The folder of what the system on this machine has written."""
        return self.system / "run"

    def place(self) -> "Place":
        """Return the addresses of the system.  Raises `RegistryError`."""
        from zerotrust.authority.files.deployment import load_deployment
        from zerotrust.authority.files.snapshot_files import load_registry
        from zt.people.authorities import Place

        registry = load_registry(self.system / "registry.yaml")
        deployment = load_deployment(self.deployment, registry)
        return Place.of(registry, deployment, issuer=self.issuer or f"{ISSUER}{registry.realm}", ca=self.ca)

    def registry(self) -> "Registry | None":
        """Return the registry of the system; None, if it cannot be read."""
        from zerotrust.authority.files.reading import RegistryError
        from zerotrust.authority.files.snapshot_files import load_registry

        try:
            return load_registry(self.system / "registry.yaml")
        except RegistryError:
            return None

    @property
    def way(self) -> "SignIn":
        from zt.people import browser, device

        if self.device or not browser.is_usable():
            return partial(device.sign_in, say=output.say)
        return partial(browser.sign_in, say=output.say, hint=self.user)


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Exit with a message if what the block asks for fails."""
    from zerotrust.authority.files.reading import RegistryError
    from zt.errors import CommandError

    try:
        yield
    except CommandError as error:
        output.fail(str(error), error.reason)
    except RegistryError as error:
        output.fail(str(error), "registry_unfit")


def run_as_operator(context: typer.Context, do: Callable[["RegistryClient"], Awaitable[T]]) -> T:
    """Sign the operator in at the registry, run `do`, and return its result; exit with a message if that fails."""
    from zt.people.registry_client import RegistryClient

    return run_at(RegistryClient, context, do)


def run_at(kind: "type[C]", context: typer.Context, do: "Callable[[C], Awaitable[T]]") -> T:
    """Sign the operator in at an authority, with this kind of client; otherwise as `run_as_operator`."""
    import asyncio

    settings: Settings = context.obj

    async def run() -> T:
        async with _session(kind, settings) as authority:
            if not settings.user and not settings.party:
                output.say(f"{authority.user} signed in.", {"signed_in": authority.user})
            return await do(authority)

    with reporting_errors():
        return asyncio.run(run())


def _session(kind: "type[C]", settings: Settings) -> "AbstractAsyncContextManager[C]":
    if settings.party:
        from zt.itself import party_session

        return party_session(kind, settings.place(), settings.party)
    from zt.people.sign_in import operator_session

    return operator_session(kind, settings.place(), settings.way, settings.user)


def show_done(answer: dict[str, Any], shown: RenderableType, done: str, otherwise: str) -> None:
    """Show what was done; exit with a message if Keycloak has not confirmed it.

    The message begins with what was `done`, and ends with what happens next, `otherwise`.
    """
    output.show(answer, shown)
    result, _, why = answer["keycloak"].partition(": ")
    if result == "not applicable":
        output.note(f"Keycloak was not notified: {why}.")
    elif result != "notified":
        output.fail(f"{done}.  But Keycloak did not confirm it ({why}): {otherwise}", "keycloak_unconfirmed")
