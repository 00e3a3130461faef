"""Raises an alarm where exchanges in the journals and at the issuer are not the same, as soon as the log shows it.

It follows the published log, and reads the last leaves again at a start.  So no alarm is lost, and none comes twice,
except some of a flood that were only counted before.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import chain

from authorities.audit.log import Log
from authorities.audit.reconciliation import Reconciliation
from zerotrust.audit.event import is_valid
from zerotrust.audit.event_types import Alarm, Counts
from zerotrust.authority.log.tiles import WIDTH, decode_bundle, tile_path
from zerotrust.tlog.tree import InvalidLog

AGAIN = 40 * WIDTH
"""Leaves that a start reads again, at least: those of a minute with 150 records a second."""

_MEANING = {
    "unexplained": "the issuer has it, and its journal does not",
    "silent": "the issuer has it, and its journal not yet",
    "unknown": "its journal has it, and the issuer does not",
    "explained": "its journal has it now: there was no reason for the alarm",
}

log = logging.getLogger(__name__)


class Alarms:
    """Follows one log."""

    def __init__(self, log: Log, registry: str, ledger: str, raise_: Callable[[Alarm | Counts], object]) -> None:
        """`registry`: the SPIFFE ID of the party that tells what the issuer says.

        `ledger`: of this party, in whose journal `raise_` records an alarm.
        """
        self._log, self._registry, self._ledger, self._raise = log, registry, ledger, raise_
        self._compared: Reconciliation | None = None
        self._next = 0

    async def follow(self) -> None:
        """Take what has been published since the last time.  Unreadable lines are read the next time."""
        size = self._log.size
        try:
            while self._compared is None or self._next < size:
                self._record(await asyncio.to_thread(self._find, size))
        except (OSError, InvalidLog) as error:
            log.error("the exchanges in the log cannot be compared: %s", error)

    def _record(self, alarms: Iterable[Alarm | Counts]) -> None:
        for alarm in alarms:
            if not is_valid(alarm):  # control: alarm-is-a-record
                log.error("%r has no form of a record, and is not recorded", alarm)
                continue
            if isinstance(alarm, Alarm):
                log.warning("%s has exchanged token %s: %s", alarm.party, alarm.token_id, _MEANING[alarm.cause])
            else:
                for more in alarm.repeated or ():
                    log.warning("%s: %d further alarms: %s", more.party, more.times, _MEANING[more.reason])
            self._raise(alarm)

    def _find(self, size: int) -> list[Alarm | Counts]:
        """Take the next leaves, of one bundle at most; at the start, all that are read again."""
        if self._compared is None:
            first = max(0, size - AGAIN) // WIDTH * WIDTH
            again = Reconciliation(self._registry, self._ledger, whole=first == 0)
            bundles = (self._leaves(at, size) for at in range(first, size, WIDTH))
            missed = again.missing_alarms(chain.from_iterable(bundles))
            self._compared, self._next = again, size
            return missed
        leaves = self._leaves(self._next, size)
        self._next += len(leaves)
        return [alarm for leaf in leaves for alarm in self._compared.take(leaf)]

    def _leaves(self, first: int, size: int) -> list[bytes]:
        """Return the published leaves of this one's bundle, from it on.  Raises `OSError` and `InvalidLog`."""
        bundle = first // WIDTH
        width = min(WIDTH, size - bundle * WIDTH)
        return decode_bundle(self._log.read(tile_path("entries", bundle, width)), width)[first % WIDTH :]
