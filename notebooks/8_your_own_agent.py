# %% [markdown]
# # 8. Your own agent
#
# Previous: [7 Authorities outside](7_authorities_outside.ipynb) | Next: [9 Evidence](9_evidence.ipynb)
#
# This notebook follows the five principles of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# In this notebook you write an agent: a few lines, in a cell. You register it, you start it, and alice gives it a task. You look at its tokens, and see what it is refused. Then you change the cell.
#
# **It changes files and starts the system anew.** It works on a copy of this project, in `run/notebooks/own`. The next cell makes that copy, and makes it anew each time that you run it: what you changed in it before is gone. To throw the copy away, delete the folder. All this needs `make notebooks`. While the copy's system runs, other notebooks have none.

# %%
from lab.notebooks.own import new_copy
from lab.notebooks.use import ask_for_token, close, here, show, tell_task, token_of, told
from zerotrust.adapters.answer import Answer

own = await new_copy()

# %% [markdown]
# ## What an agent is made of
#
# `make new-agent` makes one that works: a program, and its entry in `registry.yaml`, which says what it may do ([notebook 6](6_registration.ipynb) shows that). Ours is called finder.

# %%
await own.type("make -s new-agent NAME=finder | head -n 4")
await own.type("sed -n '/^ROUTES/,$p' agents/finder/main.py")

# %% [markdown]
# - `ROUTES`: what others may ask this agent for, and with which scope. A scope is one permission. A token without `agent.invoke` ends at the gate, which checks each call before any line of `answer` runs.
# - `answer`: what the agent does. This one lets a model choose what to do.
# - `service.exchange`: gives the token that came with the call to Keycloak, and gets another one for the next call. It has one audience (the party that it is for) and the scopes that are named.
#
# ## Yours
#
# This is your agent. It asks no model: it searches the documents for the words of the task, and hands on what it finds. `service` and `tool` are those of the program above.


# %%
async def answer(task: str) -> Answer:
    token = await service.exchange("tool/documents", "tool.read")
    found, succeeded = await tool.call("search", {"query": task}, token)
    return Answer(text=f"I found {found}" if succeeded else f"I was not allowed to search: {found}")


own.put(answer, "agents/finder/main.py")
await own.type("sed -n '/async def answer/,/^$/p' agents/finder/main.py")

# %% [markdown]
# Nobody has approved this code yet. `make register` reads it, prints what is approved with it, and writes that down.

# %%
await own.type("make register")

# %% [markdown]
# Then the copy's system starts, in place of ours, with your agent in it. This takes about a quarter of a minute.

# %%
system = await own.start()
real = await here(system)

# %% [markdown]
# ## Ask it
#
# alice signs in and gives it a task. A task that begins with an agent's name and a colon is for that agent.

# %%
alice = await real.sign_in("alice")
await tell_task(real, alice, "Finder: incident")

# %% [markdown]
# alice is in engineering, so these are engineering's documents. bob is in finance. He asks the same of the same agent.

# %%
bob = await real.sign_in("bob")
await tell_task(real, bob, "Finder: forecast")
await tell_task(real, bob, "Finder: incident")

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
show(token_of(T1))

# %% [markdown]
# And this is what your agent gets for T1, to call the tool: T2. It names alice, too. `act` has the chain: your agent acts for her, through the orchestrator. `aud` and `scope` are smaller.

# %%
T2 = await ask_for_token(real, "agent/finder", T1, "tool/documents", "tool.read")
show(token_of(T2))

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
print("the tool, to create:", told(await real.tool("create", T2, by="agent/finder", title="Mine", text="planted")))
print("the writer:         ", told(await real.call("agent/writer", T2, by="agent/finder")))

# %% [markdown]
# Someone else takes T2. It does not work for anybody but your agent.

# %%
print("the tool, to search:", told(await real.tool("search", T2, by="agent/reader", query="incident")))

# %% [markdown]
# ## Change it
#
# Now change the cell with `answer`, and run it again and those below it. Ideas:
#
# - Ask for `tool.write` in place of `tool.read`. `make register` says why it approves nothing.
# - Call `tool.call("read", {"id": "ENG-101"}, token)`. Then `FIN-201`, which is finance's: alice is refused, and bob is not.
# - Use the agent in a task of others: `await own.type("cat orchestrator/plan.py")` shows the plan of each task, and `own.replace("orchestrator/plan.py", "old text", "new text")` changes it.
#
# If your agent fails, `await own.type("tail -n 3 run/logs/agent-finder.log")` says where. The last lines of `make register` are for a terminal: here, the cell with `own.start()` is the next step.
#
# The last cell ends the copy's system. Ours starts again, for the other notebooks.

# %%
await close()
await own.stop()
