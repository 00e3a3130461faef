"""Ends the launched processes in order: those that take or cosign records end after the authors of the records."""

import asyncio
import signal
from collections.abc import Iterable
from contextlib import suppress

from authorities.attestation.local.launch import Launched
from zerotrust.registry.model import Authorities

SECONDS = 20
"""For those that end together.  The ledger needs the most, 10 at worst: 3 until it is quiet, 5 for requests that were
begun, 2 for its own last records.  The authority kills what still runs."""


async def end_in_order(launched: Iterable[Launched], authorities: Authorities) -> None:
    """Ask all parties to end, then the ledger, which takes their last records, then the registry, which cosigns them.

    `launched`: the parties, without those that were launched in their place.  Return when they have ended, or `SECONDS`
    after the last were asked.
    """
    parties, last = [*launched], (authorities.audit, authorities.registry)
    for turn in (
        [one for one in parties if one.launch.name not in last],
        *([one for one in parties if one.launch.name == name] for name in last),
    ):
        for one in turn:
            one.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                for one in turn:
                    await one.ended.wait()
