# %% [markdown]
# # 9. Evidence: who really took part?
#
# Previous: [8 Your own agent](8_your_own_agent.ipynb)
#
# This notebook follows the first sentence of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series: A calls C through B, so A trusts C without having said so. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, digests, ports and times.
#
# alice sees the orchestrator and nobody else. In the other notebooks, each party checked the one before it. Here alice checks all of them, afterwards and by herself: she says which parties she trusts, and finds out whether exactly these took part. Nothing has to run for that.
#
# Two things make it possible. Each party signs a *receipt* of each call that it answers. And all records of all parties are in one *log*, which others have cosigned: nobody can change it later without being found out.

# %%
from lab.notebooks.figure import figure

figure("receipts")

# %%
import dataclasses

from demo.participants import alterations, run_task
from lab.notebooks.attach import attach
from lab.notebooks.receipt_cells import around_record, export_of, receipt_of, show_receipt, show_tree, verify_export

system = await attach()

# %% [markdown]
# ## alice asks
#
# The next cell gives the orchestrator the task of the walkthrough. alice keeps four things: the answer as it came, byte for byte; the proof that the log has the orchestrator's receipt; the certificate of the attestation authority; and the *policy* of the log, which names the keys of the log and of its witnesses.

# %%
alice, of_another_call = await run_task(system)
print(len(alice.receipts), "receipts came with the answer")

# %% [markdown]
# She also has a list of the parties that she accepts, and the digest of the code that each may run. Here it is what [registry.yaml](../registry.yaml) and registry.lock approve. Now she verifies.

# %%
proven = alice.verify()
show_tree(proven.root)

# %% [markdown]
# This is who worked for her: each line is a call, below the call that caused it. The reader was refused FIN-201, which is finance's, and the writer was refused to overwrite a published report.
#
# Verification has ten steps, which [receipts.md](../docs/reference/receipts.md) lists. `zt receipt verify` does the same in a terminal, and `evidence.verify` in a program.
#
# ## One receipt
#
# This is what the tool signed when the reader read ENG-101. A digest is a SHA-256 of bytes: of the request as the tool received it, of the answer as it sent it, of its code. `caller` is who was at the other end of the connection, and `token` says which token was shown. `lineage` leads back to alice's own token.

# %%
show_receipt(receipt_of(proven.root, "tool/documents", "POST tools/call read"))

# %% [markdown]
# The reader's receipt has the same digests from the other side: what it sent, what it got, and the digest of this receipt. So neither of the two can change its story alone. It lists every call and every token that the reader asked for, also those that failed.

# %%
reader = receipt_of(proven.root, "agent/reader", "POST /a2a")
for call in reader.receipt.calls:
    print(call.aud, "with a receipt" if call.receipt else f"without a receipt: {call.reason}")

# %% [markdown]
# ## Somebody alters the answer
#
# Each of the following lines is a try of its own. alice verifies again, and learns which step fails and whom it is about.

# %%
async for attempt in alterations(alice, proven, of_another_call):
    print(f"{attempt.what:<50} {attempt.answered}")

# %% [markdown]
# ## The log
#
# A thief who owns all disks could rewrite the journals. So the ledger, `authority/audit`, takes each record from each party, and publishes all of them in one transparency log. The registry is its witness: it signs the head of the log only if the log has grown, and nothing in it has changed.
#
# An export is the whole log in one file. It is verified with the keys of the policy alone.

# %%
export = export_of(system)
verify_export(export, alice.policy)

# %% [markdown]
# Now one record is changed: the tool says that it refused what it permitted. Then the record is deleted, and then it is there twice.

# %%
before, record, after = around_record(export, "tool/documents")
verify_export([*before, record.replace(b"true", b"false", 1), *after], alice.policy)
verify_export([*before, *after], alice.policy)
verify_export([*before, record, record, *after], alice.policy)

# %% [markdown]
# At fault is the export: the log's signed hashes fit the record as it was. [evidence.md](../docs/explain/evidence.md) shows cases in which the log or a service is at fault, and [audit-log.md](../docs/reference/audit-log.md) says how other programs verify the same files.
#
# A witness has to be somebody else's. With a policy that asks for a second witness, alice's own, the same export is not enough until that one has cosigned it.

# %%
verify_export(export, dataclasses.replace(alice.policy, quorum="alice"))

# %% [markdown]
# ## What this does not prove
#
# - A genuine party may lie. A receipt proves who said something, not that it is true.
# - A party that was called without a token of this system leaves no receipt. Only the network can prevent such a call.
# - The last second: what is not yet cosigned could be dropped by somebody who owns a service and the ledger.
