"""Functions for the cells about receipts and the audit log; they print no digest, and no number that varies."""

import json
import re
from collections.abc import Iterable
from typing import Any

from evidence.export import export_lines
from evidence.fault import Faulty
from evidence.verification import Verification
from evidence.verified_receipt import VerifiedReceipt, receipts_in
from lab.notebooks.normal import normal
from start.system import Running
from zerotrust.tlog.quorum import TrustPolicy
from zt.audit.log_folder import LogFolder

_VARIES = {"id": "<id>", "policy": "<version>", "n": "<number>"}
"""Members of a receipt that differ from run to run, and are shown by a name."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def show_tree(one: VerifiedReceipt, indent: str = "") -> None:
    """Print a receipt and those of the calls below it, a line for each."""
    said = one.receipt
    verdict = f"{said.verdict} ({said.reason})" if said.reason else said.verdict
    print(normal(f"{indent}{_name(one.signer)} {' '.join([said.operation, *said.resources])}: {verdict}"))
    for called in one.below:
        show_tree(called, f"{indent}    ")


def receipt_of(root: VerifiedReceipt, party: str, operation: str) -> VerifiedReceipt:
    """Return the receipt of a party about a call, from the tree below `root`.  Raises `StopIteration`."""
    return next(one for one in receipts_in(root) if (_name(one.signer), one.receipt.operation) == (party, operation))


def show_receipt(one: VerifiedReceipt) -> None:
    """Print what a receipt says."""
    said = json.loads(one.receipt.payload(), object_hook=_named)
    print(normal(_DIGEST.sub("<digest>", json.dumps(said, indent=1))))


def export_of(system: Running) -> list[bytes]:
    """Return the lines of an export of the log that the ledger publishes, as `zt audit export` writes them."""
    log = LogFolder(system.journal(system.registry.authorities.audit).with_name("log"))
    return list(export_lines(log.note, log.read))


def verify_export(lines: Iterable[bytes], policy: TrustPolicy) -> None:
    """Verify an export, and print who cosigned it, or what is wrong, whose record it is and who is at fault."""
    try:
        verification = Verification(iter(lines), policy)
        services = {_name(getattr(leaf.content, "service", "")) for leaf in verification.leaves()} - {""}
    except Faulty as faulty:
        fault = faulty.fault
        about = f"a record of {_name(fault.party)}" if fault.party else fault.why
        print(f"{fault.what}: {about}; at fault: {fault.who}")
        return
    print("all leaves verified, cosigned by", *verification.cosigned)
    print("records of", ", ".join(sorted(name for name in services if not name.startswith("authority/"))))


def around_record(lines: list[bytes], party: str) -> tuple[list[bytes], bytes, list[bytes]]:
    """Return the lines before the first access that a party permitted, that line, and those after it."""
    permitted = b'"type":"access"', b'"allowed":true', f"/{party}".encode()
    at = next(n for n, line in enumerate(lines) if all(part in line for part in permitted))
    return lines[:at], lines[at], lines[at + 1 :]


def _named(found: dict[str, Any]) -> dict[str, Any]:
    return {member: _VARIES.get(member, value) for member, value in found.items()}


def _name(party: str) -> str:
    return party.removeprefix("spiffe://").partition("/")[2] or party
