"""Carries out a command as an operator: signs them in, asks the registry, and tells what came of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import RenderableType

from zerotrust.registry.model import RegistryError
from zt import browser, device
from zt.login import SignIn
from zt.output import output
from zt.registry_client import CommandError, Place, RegistryClient, signed_in

T = TypeVar("T")

Because = Annotated[str, typer.Option(help="for the record")]
NOTIFIED_AGAIN = "it is notified again until that succeeds"


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that stand before a command."""

    user: str
    """The operator who is expected; "" is anybody."""
    device: bool
    """Whether to sign in by a code, although there may be a browser here."""
    place: Callable[[], Place]
    journals: Path
    """The folder of the journals on this machine."""

    @property
    def way(self) -> SignIn:
        """How the operator signs in."""
        if self.device or not browser.usable():
            return partial(device.sign_in, say=output.say)
        return partial(browser.sign_in, say=output.say, hint=self.user)


def as_operator(context: typer.Context, do: Callable[[RegistryClient], Awaitable[T]]) -> T:
    """Sign the operator in, run `do`, and return its result; exit with a message if that fails."""
    settings: Settings = context.obj

    async def done() -> T:
        async with signed_in(settings.place(), settings.way, settings.user) as registry:
            if not settings.user:
                output.say(f"{registry.user} signed in.", {"signed_in": registry.user})
            return await do(registry)

    try:
        return asyncio.run(done())
    except CommandError as error:
        output.fail(str(error), error.reason)
    except RegistryError as error:
        output.fail(str(error), "registry_unfit")


def show_done(answer: dict[str, Any], shown: RenderableType, otherwise: str) -> None:
    """Show what was done; exit with a message if Keycloak has not confirmed it, and then `otherwise`."""
    output.show(answer, shown)
    result, _, why = answer["keycloak"].partition(": ")
    if result == "not applicable":
        output.note(f"Keycloak was not notified: {why}.")
    elif result != "notified":
        why = f"All services know it, but Keycloak did not confirm it ({why}): {otherwise}."
        output.fail(why, "keycloak_unconfirmed")
