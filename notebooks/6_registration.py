# %% [markdown]
# # 6. Registration: one file says who takes part
#
# Previous: [5 Workload attestation](5_workload_attestation.ipynb) | Next: [7 Authorities outside](7_authorities_outside.ipynb)
#
# This notebook follows the principle *agent registration as a source of truth* of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# The last principle of the post is agent registration as a source of truth. Somebody writes down which agents exist, and what each of them may do. Everything else follows from that: what Keycloak knows of them, which rights a token can have, which code may run.
#
# This notebook adds an agent, and shows what changes.
#
# **It changes files.** It works on a copy of this project, in `run/notebooks/own`. The next cell makes that copy, and makes it anew each time that you run it. To throw the copy away, delete the folder. All this needs `make notebooks`.

# %%
from lab.notebooks.attach import attach
from lab.notebooks.own import Copy
from lab.notebooks.use import as_attacker, ask_for_token, close

own = Copy()

# %% [markdown]
# ## Who takes part
#
# The file is `registry.yaml`. Here is what it says of one agent, the reader.

# %%
await own.type("sed -n '/^  agent.reader:/,/^$/p' registry.yaml")

# %% [markdown]
# - `may_call`: whom the reader may call. Keycloak gives it tokens for these parties, and for no others.
# - `delegates`: the scopes that it may ask for. A scope is one permission.
# - `max_ttl`: a token that is issued to it lives so many seconds at most.
# - `code`: the folder with its code. That and what it imports runs under its name, and nothing else.
#
# ## An agent that nobody registered
#
# alice signs in. The orchestrator asks Keycloak for a token with which it can call an agent of the name auditor, for alice. (The cell plays an intruder who is inside the orchestrator.)

# %%
system = await attach()
real = await as_attacker(system)
alice = await real.sign_in("alice")
SCOPES = "agent.invoke tool.read inference.run llama.chat"
await ask_for_token(real, "orchestrator", alice.credentials, "agent/auditor", SCOPES)
await close()

# %% [markdown]
# Keycloak knows nobody of that name.
#
# ## Register it
#
# `make new-agent` writes a working agent, and adds it to `registry.yaml`.

# %%
await own.type("make new-agent NAME=auditor")

# %% [markdown]
# These lines of `registry.yaml` are new (`+`) or gone (`-`). The auditor has an entry, and the orchestrator may call it.

# %%
own.changes("registry.yaml")

# %% [markdown]
# So far this is a wish. `make register` turns it into an approval. It reads the code, and computes a digest of each file: a number that is another one as soon as the file changes. Then it prints what is approved by whoever commits the result.

# %%
await own.type("make register")

# %% [markdown]
# ## What changed in the realm
#
# A realm is Keycloak's word for all users, clients and scopes that belong together. A client is a program that gets tokens. Nobody edits this realm by hand: each start derives it from `registry.yaml`. These are the changes, with a line for each client and each scope.

# %%
own.changes_in_the_realm()

# %% [markdown]
# The auditor is a client now, with the parties that it gets tokens for, and its scopes. The orchestrator gets tokens for one party more. `aud:agent/auditor` is what puts the auditor's name into `aud`, which says whom a token is for.
#
# ## A change that nobody approved
#
# Somebody changes one line of the auditor after it was approved. Now it adds two words to each task.

# %%
own.replace("agents/auditor/main.py", "            task,", '            task + " of finance",')
await own.type("grep -n finance agents/auditor/main.py; make check")

# %% [markdown]
# Its digest is not the approved one. Attestation compares the same digests before it starts a party, so `make up` would end here as well.
#
# Somebody who has reviewed this change can approve it. Not every change can be approved: here is one by which the auditor asks for the right to write, instead of the right to read.

# %%
own.replace("agents/auditor/main.py", '"tool.read"', '"tool.write"')
await own.type("make register")

# %% [markdown]
# The code asks for more than `registry.yaml` allows. So nothing is approved. Whoever wants this has to say so in `registry.yaml` first, where everybody can read it.
#
# ## Try it
#
# Add a cell here. For example, this one takes inference from those whom the auditor may call. What does `make register` say?
#
# ```python
# await own.type("sed -i '/^  agent.auditor:/,/code:/s|documents, inference|documents|' registry.yaml; make register")
# ```
#
# An agent that is approved runs with the next start of the system. [Notebook 8](8_your_own_agent.ipynb) makes one in your clone, starts it and gives it a task.
