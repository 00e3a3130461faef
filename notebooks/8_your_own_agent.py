# %% [markdown]
# # 8. Your own agent
#
# Previous: [7 Authorities outside](7_authorities_outside.ipynb) | Next: [9 Evidence](9_evidence.ipynb)
#
# This notebook follows the five principles of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# In this notebook you make an agent, and register it. alice gives it a task. You look at its tokens, and see what it is refused. Then you change it.
#
# ## Make it
#
# End `make notebooks` with Ctrl-C, type these three lines in your clone, and open this notebook again:
#
# ```sh
# make new-agent NAME=finder
# make register
# make notebooks
# ```
#
# `make new-agent` writes a program that works, and its entry in `registry.yaml`, which says what it may do. `make register` reads the program, prints what is approved with it, and writes that down: [notebook 6](6_registration.ipynb) shows both. [Add an agent](../docs/how-to/add-an-agent.md) says how to take it back.

# %%
from pathlib import Path

from lab.notebooks.attach import attach
from lab.notebooks.use import as_attacker, ask_for_token, close, explain, run_task, show_token, token_of
from start.program import ROOT

_, found, routes = Path(ROOT, "agents/finder/main.py").read_text().partition("ROUTES")
print(found + routes)

# %% [markdown]
# - `ROUTES`: what others may ask this agent for, and with which scope. A scope is one permission. A token without `agent.invoke` ends at the gate, which checks each call before any line of `answer` runs.
# - `answer`: what the agent does. This one lets a model choose what to do.
# - `service.exchange`: gives the token that came with the call to Keycloak, and gets another one for the next call. It has one audience (the party that it is for) and the scopes that are named.
#
# ## Ask it
#
# alice signs in and gives it a task. A task that begins with an agent's name and a colon is for that agent.

# %%
system = await attach()
real = await as_attacker(system)
alice = await real.sign_in("alice")
await run_task(real, alice, "Finder: incident")

# %% [markdown]
# alice is in engineering, so these are engineering's documents. One of them is poisoned: it orders the agent to read finance's forecast, and to overwrite a report. The agent did as it was told, and both were refused: alice is not of finance, and the agent has no right to write.
#
# bob is in finance. He asks the same agent.

# %%
bob = await real.sign_in("bob")
await run_task(real, bob, "Finder: forecast")
await run_task(real, bob, "Finder: incident")

# %% [markdown]
# Your agent has no line about departments. The tool asks for whom it is called, and the token tells it.
#
# ## Its tokens
#
# The cells below play an intruder who is inside the orchestrator and inside your agent, and who has their certificates. This is the token that the orchestrator gets to call your agent for alice, T1.

# %%
T1 = await ask_for_token(
    real, "orchestrator", alice.credentials, "agent/finder", "agent.invoke tool.read inference.run llama.chat"
)
show_token(token_of(T1))

# %% [markdown]
# And this is what your agent gets for T1, to call the tool: T2. It names alice, too. `act` has the chain: your agent acts for her, through the orchestrator. `aud` and `scope` are smaller.

# %%
T2 = await ask_for_token(real, "agent/finder", T1, "tool/documents", "tool.read")
show_token(token_of(T2))

# %% [markdown]
# ## What it is refused
#
# An intruder inside your agent asks Keycloak for a scope that the agent does not have.

# %%
await ask_for_token(real, "agent/finder", T1, "tool/documents", "tool.write")

# %% [markdown]
# It asks for a token to call another agent. It may not call any: it has not even the scope for that.

# %%
await ask_for_token(real, "agent/finder", T1, "agent/writer", "agent.invoke")

# %% [markdown]
# It takes the token that the agent has, T2, and tries with that: first to write, then another party.

# %%
print("the tool, to create:", explain(await real.tool("create", T2, by="agent/finder", title="Mine", text="planted")))
print("the writer:         ", explain(await real.call("agent/writer", T2, by="agent/finder")))

# %% [markdown]
# Someone else takes T2. It does not work for anybody but your agent.

# %%
print("the tool, to search:", explain(await real.tool("search", T2, by="agent/reader", query="incident")))

# %% [markdown]
# ## Change it
#
# Change `answer` in `agents/finder/main.py`. After each change, `make register` approves it, and `make notebooks` starts it. Ideas:
#
# - Ask for `tool.write` in place of `tool.read`. `make register` says why it approves nothing.
# - Take the model away. `token = await service.exchange("tool/documents", "tool.read")` gets a token, and `found, succeeded = await documents.call("search", {"query": task}, token)` searches with it. `Answer(text=found)` is what the agent answers.
# - Then call `read` with `{"id": "ENG-101"}`, and with `FIN-201`, which is finance's: alice is refused, and bob is not.
#
# If your agent fails, the last lines of `run/notebooks/logs/agent-finder.log` say where.

# %%
await close()
