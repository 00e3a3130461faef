"""Evidence off line: receipts, by which a client verifies who took part in its task, and exports of the audit log.

    proven = verify(answer, authorities=bundle, accepted=accepted, policy=policy, evidence=evidence)

A reader of receipts needs this folder only.  `evidence.verification` verifies exports.  No party runs any of this,
nor is measured with it.
"""

from evidence.accepted import Accepted, Party, approved
from evidence.participants import Proven, verify, verify_refusal
from evidence.unproven import Unproven
from zerotrust.tlog.proof import Evidence, evidence_of

__all__ = ["Accepted", "Evidence", "Party", "Proven", "Unproven", "approved", "evidence_of", "verify", "verify_refusal"]
