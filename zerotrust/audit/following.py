"""Whether the leaves of a log fit each other: each journal's records in their order, and the heads of all.  Pure."""

from typing import NoReturn

from zerotrust.audit.fault import LOG, Fault, Faulty, What
from zerotrust.audit.leaf import Heads
from zerotrust.audit.outline import Outline, outline
from zerotrust.audit.record import GENESIS, Link, hash_of


class Followed:
    """Where each journal stands in a log, after the leaves that were read so far."""

    def __init__(self, *, whole: bool = True) -> None:
        """`whole`: from the first leaf on; otherwise each journal begins with the first of its records."""
        self.stands = dict[str, Link]()
        self._whole = whole

    def read(self, index: int, line: bytes) -> Outline | Heads:
        """Return what the next leaf is.  Raises `Faulty` if it does not fit those before."""
        try:
            content = outline(line)
        except ValueError as error:
            raise Faulty(Fault("malformed", LOG, str(error), index)) from error
        if isinstance(content, Heads):
            self._compare(index, content)  # control: heads-compared
            return content
        service, number, previous = content
        stands = self.stands.get(service) or (GENESIS if self._whole else Link(number - 1, previous))
        if (number - 1, previous) != stands:  # control: record-continues-its-journal
            self._refuse(index, content, stands, hash_of(line))
        self.stands[service] = Link(number, hash_of(line))
        return content

    @staticmethod
    def _refuse(index: int, record: Outline, stands: Link, hashed: str) -> NoReturn:
        service, number, _ = record
        if number == stands.records + 1:
            text = f"record {number} names another one before it than the one that was delivered"
            raise Faulty(Fault("changed", service, text, index, service, max(stands.records, 1)))
        if number > stands.records:
            text = f"record {number} follows record {stands.records}"
            raise Faulty(Fault("missing", LOG, text, index, service, stands.records + 1))
        what: What = "duplicated" if Link(number, hashed) == stands else "forked"
        raise Faulty(Fault(what, LOG, f"a second record {number} of one journal", index, service, number))

    def _compare(self, index: int, heads: Heads) -> None:
        if not self._whole:  # whose records are all among the leaves that are left out
            self.stands = {**heads.journals, **self.stands}
        differ = [one for one in {*self.stands, *heads.journals} if heads.journals.get(one) != self.stands.get(one)]
        for service in sorted(differ):
            told, stands = heads.journals.get(service, GENESIS), self.stands.get(service, GENESIS)
            text = f"the heads say {told.records} records, and before them are {stands.records}"
            if told.records > stands.records:
                raise Faulty(Fault("missing", LOG, text, index, service, stands.records + 1))
            text = text if told.records < stands.records else "the heads have another hash of it"
            raise Faulty(Fault("changed", LOG, text, index, service, max(told.records, 1)))
