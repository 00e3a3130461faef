# %% [markdown]
# # 5. Workload attestation: which code is it?
#
# Previous: [4 Continuous verification](4_continuous_verification.ipynb) | Next: [6 Registration](6_registration.ipynb)
#
# This notebook follows figure 4, and the principle *workload attestation* of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# A *workload* is a running program of the system: the orchestrator, an agent, the tool. A token says for whom a workload acts. It does not say which code the workload runs.
#
# *Attestation* says that. An authority outside the workloads measures their code, compares it with the code that was approved, and gives a certificate only to a workload whose code is the same. Figure 4 draws the token exchange with this check.
#
# This notebook changes files while the system runs, so it needs `make notebooks`. Each cell undoes its own change, and the cell below the figure undoes whatever an interrupted run has left.

# %%
from lab.notebooks.figure import figure

figure("attestation")

# %%
from functools import partial

from demo.revocation import PLANTED, wait_until_restored
from demo.who import certificates, name_of
from lab.before.system import Refused
from lab.notebooks.attach import attach
from lab.notebooks.claims import describe_certificate
from lab.notebooks.impostor import take_the_readers_place
from lab.notebooks.temporary import added_file, attestations_log, put_right, wait_for_log, wait_until
from lab.notebooks.use import as_attacker, close, explain
from start.manual_steps import REQUEST
from start.system import ROOT
from testkit.ca import CA
from zerotrust.audit.event_types import RegistryChange
from zt.errors import RefusedError

system = await attach()
real = await as_attacker(system)
await put_right(system)

# %% [markdown]
# ## The certificate
#
# This is the certificate that the writer shows to everybody who connects. It is public. The key that belongs to it never leaves the writer's memory.

# %%
authority = system.ca_file.read_bytes()
print(describe_certificate((await certificates(system))["agent/writer"], signed_by=authority))

# %% [markdown]
# The SPIFFE ID is the writer's name, and the name is the same everywhere: in its certificate, in the tokens that are issued to it, and in all records. (SPIFFE is a standard for the identity of programs.) The authority that signed it is attestation, which made its key when this run began.
#
# The certificate is good for 120 seconds, and dated 5 seconds back for clocks that differ. After half of that time the writer asks for a new one, and its code is measured again.

# %% [markdown]
# ## A neighbour asks
#
# Certificates come from one local socket, the Workload API. This notebook is a neighbour of the writer: a program of the same user, on the same machine. It may open that socket. It asks for an identity.

# %%
try:
    await real.identity()
except Refused as refused:
    print(refused)

*_, last = [line for line in attestations_log(system) if line["event"] == "refused"]
print("attestation's log:", last["why"])

# %% [markdown]
# A name or a password in the request would not help, because the API reads none. The kernel tells attestation which process is at the other end of the socket. Attestation knows the processes that it has launched from measured code, and this notebook is not one of them.

# %% [markdown]
# ## A stolen token, without the certificate
#
# The cell below takes the writer's token for the tool, and presents it in three ways: as the writer, with the certificate of the reader, and as a program that has no certificate.

# %%
alice = await real.sign_in("alice")
token = await real.credentials(alice, "agent/writer", "tool/documents")
for who in "agent/writer", "agent/reader", None:
    answer = await real.tool("create", token, by=who, title="A draft", text="text")
    print(f"{who or 'no certificate':<16} {explain(answer)}")

# %% [markdown]
# `not_bound` compares two names: the token was issued to one SPIFFE ID, and the certificate has another. A caller without a certificate gets no connection, so it cannot even send the token. A copied token is worth nothing without the key of the workload that it was issued to.

# %% [markdown]
# ## A file changes
#
# An intruder adds a file to the writer's code. It is empty: attestation does not judge what a file does, only whether it was approved.
#
# The writer uses the model at the same time, with a token that is good and a certificate that has not expired.

# %%
alice = await real.sign_in("alice")
token = await real.credentials(alice, "agent/writer", "inference")
use_the_model = partial(real.call, "inference", token, by="agent/writer")
await wait_until("200 ok", use_the_model)
print("before:", explain(await use_the_model()))
async with added_file(system):
    took = await wait_until("401 revoked", use_the_model)
    print("after: ", explain(await use_the_model()))
print(f"That took {took:.0f} ms, from {PLANTED.relative_to(ROOT)} to the first refusal.")

# %% [markdown]
# The kernel reports the new file to attestation. Attestation reports the writer to the registry, the authority that knows all parties and who is suspended. The registry suspends the writer and tells every service.
#
# The cell below makes the same change, and looks at both authorities.

# %%
alice, known = await real.sign_in("alice"), len(attestations_log(system))
token = await real.credentials(alice, "agent/writer", "inference")
use_the_model = partial(real.call, "inference", token, by="agent/writer")
await wait_until("200 ok", use_the_model)
async with added_file(system) as olga:
    await wait_until("401 revoked", use_the_model)
    writer = await olga.party("agent/writer")
    print(f"registry:    {writer['state']}, because of {writer['cause']}")
    refused = await wait_for_log(system, "refused", "agent/writer", since=known)
    print(f"attestation: no new certificate for the writer, {refused['why']}")

# %% [markdown]
# Nobody calls the writer, either. alice asks for a task, which needs the reader first, and then the writer. The orchestrator calls the reader, and stops.

# %%
alice = await real.sign_in("alice")
token = await real.credentials(alice, "agent/writer", "inference")
use_the_model = partial(real.call, "inference", token, by="agent/writer")
await wait_until("200 ok", use_the_model)
async with added_file(system):
    await wait_until("401 revoked", use_the_model)
    print("alice sees:", explain(await real.task(alice.credentials, REQUEST)))

# %% [markdown]
# ## Restored
#
# olga is an operator. While the file is there, even she cannot reinstate the writer. When it is gone, the writer stays suspended until she does.

# %%
alice = await real.sign_in("alice")
token = await real.credentials(alice, "agent/writer", "inference")
use_the_model = partial(real.call, "inference", token, by="agent/writer")
await wait_until("200 ok", use_the_model)
async with added_file(system) as olga:
    await wait_until("401 revoked", use_the_model)
    try:
        await olga.reinstate("agent/writer")
    except RefusedError as refused:
        print("with the file:    ", refused.answer)
    PLANTED.unlink()
    await wait_until_restored(olga)
    print("without the file: ", (await olga.party("agent/writer"))["state"])
    await olga.reinstate("agent/writer")
    await wait_until("200 ok", use_the_model)
    print("reinstated:       ", explain(await use_the_model()))

# %% [markdown]
# The registry has put it on record: what happened, to whom, and who did it.

# %%
changes = [event.data for event in system.events("authority/registry") if isinstance(event.data, RegistryChange)]
for change in [one for one in changes if one.target == "agent/writer"][-2:]:
    who = name_of(change.principal.subject) if change.principal else change.peer.id
    print(f"{change.action:<10} {change.target}, by {who}")

# %% [markdown]
# ## Who is at the other end?
#
# Until now, callers had to prove their code. The party that is called has to prove it as well, before it gets anything.
#
# Three programs take the reader's place, one after the other. The registry is made to tell all parties that the reader listens at another port, where one of the programs waits. Then alice asks for a task, and the genuine orchestrator calls that port.
#
# The first program has no certificate.

# %%
await take_the_readers_place(system, real, None)

# %% [markdown]
# The second one has a certificate with the reader's name, which it has made itself.

# %%
await take_the_readers_place(system, real, CA(system.registry.trust_domain).svid("agent/reader", life=100))

# %% [markdown]
# The third one has a genuine certificate: the writer's.

# %%
await take_the_readers_place(system, real, await system.svid("agent/writer"))

# %% [markdown]
# An address proves nothing. The orchestrator opens a connection (that is the TLS greeting), and waits for a certificate that has the reader's name and was signed by attestation. None of the three has one. So the orchestrator sends neither the request nor a token.
#
# The reader is back in its place. The same task works again.

# %%
alice = await real.sign_in("alice")
await wait_until("200 ok", partial(real.task, alice.credentials, "Summarise the incident reports."))
print("alice gets a summary.")

# %%
await close()
