# %% [markdown]
# # 1. Today: one token for everything
#
# Next: [2 Scoped APIs](2_scoped_apis.ipynb)
#
# This notebook follows figure 1 of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/learn/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# The first post of the series says what is wrong with many agent systems of today. This notebook runs such a system and breaks it.
#
# It is the system of figure 1. alice signs in at an application, client A. The application has a client id and a secret. For those it gets one token from Keycloak, and it sends that token to platform B. B passes it on to whoever it calls, down to tool C.
#
# Platform B is an orchestrator and two agents, and tool C is a documents tool. The agents also call a model, by the API called inference, which figure 1 leaves out. That makes five APIs, called doors here: `orchestrator`, `agent/reader`, `agent/writer`, `tool/documents`, `inference`.
#
# Where `make notebooks` runs, each code cell calls the running system, and you can change a cell and run it again. Elsewhere, as on a page that shows the file, you see what the cells printed.

# %%
from lab.notebooks.figure import figure

figure("today")

# %%
import json

from lab.before import attacks
from lab.before.attacks import try_attack
from lab.before.system import DOORS
from lab.notebooks.attach import attach
from lab.notebooks.use import close, curl, show_outcome, show_token, start_figure_1, token_of
from start.manual_steps import REQUEST

system = await attach()
before = await start_figure_1(system)

# %% [markdown]
# alice signs in. This is the token that the application then gets.
#
# Look for alice in it: she is not there. `sub` is the application's own account, and `azp` names the application. `aud` has `platform`, which is all of B and C: so the token is good for everything there. `exp` is 3600 s after `iat`: it is good for an hour.

# %%
session = await before.sign_in("alice")
show_token(token_of(session.credentials))

# %% [markdown]
# ## Endpoint protection is surface-deep
#
# The front door checks the token. Without one, it refuses.

# %%
await curl('curl $FRONT/tasks --json \'{"request": "Hello"}\'', FRONT=before.doors["orchestrator"])

# %% [markdown]
# Nobody behind the front door checks who calls. Here is the same program, without a token, at an agent.

# %%
await curl('curl $READER/run --json \'{"text": "Hello"}\'', READER=before.doors["agent/reader"])

# %% [markdown]
# Whoever is inside the tool sees what the reader sends to it: the key, and the token that was passed on. The first lines take both. The next one sends them to the front door, with a task of the thief's own. The last one prints the answer.

# %%
stolen = await before.credentials(session, "agent/reader", "tool/documents")
print("the tool received:", *stolen)
answer = await before.task(stolen, "Summarise the incident reports.")
print(answer.said)
print(json.loads(answer.text)["text"])

# %% [markdown]
# The reader needs what it has for the tool alone. It opens all five doors.

# %%
for door in DOORS:
    answer = await before.call(door, stolen, by="agent/reader")
    print(f"{'*' if door == 'tool/documents' else ' '} {door:<16} {answer.said}")

# %% [markdown]
# ## The chain breaks across MCP boundaries
#
# One of the incident reports is poisoned. It orders the agents to read finance's forecast, and to overwrite a published report, ENG-101. The model obeys, as models do. This is the published report, before:

# %%
await before.reset()
print(await before.document_text("ENG-101"))

# %% [markdown]
# alice works in engineering. She asks for a summary of her department's reports. The tool sees a key and a token of the application. It cannot know for whom it is called, so it hands out the forecast. This is what alice gets:

# %%
answer = await before.task(session.credentials, REQUEST)
print(answer.said)
print(json.loads(answer.text)["text"])

# %% [markdown]
# And this is the published report, after the same task:

# %%
print(await before.document_text("ENG-101"))

# %% [markdown]
# Afterwards, somebody asks the tool's record for whom it was called. The tool records all that it learns about the caller: that the key was right, and `azp` of the token that came with it. That is the application in every line. No line has the name of a user.

# %%
print(*await before.tool_record(), sep="\n")

# %% [markdown]
# ## Verification without continuity
#
# What was checked once counts until the token ends. alice signs out, and the front door still accepts the token.
#
# How long that goes on was not waited for. Keycloak said it when it gave the token (`expires_in`): 3600 s.

# %%
await before.sign_out(session)
answer = await before.call("orchestrator", session.credentials, by=None)
print(f"after sign-out: {answer.said}; the token is for {round(session.lasts / 60)} minutes")

# %% [markdown]
# Somebody deploys changed code in the writer's place. It answers as before, and writes each token that it gets into a file. Here the writer is called once, as the orchestrator would call it. Then this cell opens the file, and shows the claims of the token in it.

# %%
async with before.changed_code("agent/writer"):
    answer = await before.call("agent/writer", session.credentials, by="orchestrator")
    kept = (before.agents["agent/writer"].folder / "kept").read_text()
print("the changed writer:", answer.said)
show_token(kept.rpartition("Bearer ")[2])

# %% [markdown]
# The changed writer can still write at the tool, too.

# %%
show_outcome(await try_attack(before, attacks.go_on_with_changed_code))

# %%
await close()

# %% [markdown]
# ## Figure 3
#
# Figure 3 draws the same fault in a stack of agents, tools and inference: each part passes on the token that it got, and holds static API keys. `make before` attacks that, too, on a real Llama Stack server ([docs/learn/before.md](../docs/learn/before.md)).
#
# It also makes the attacks of this notebook on this project's system. The next notebook shows the first reason why they fail there.
