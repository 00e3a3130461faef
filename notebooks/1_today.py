# %% [markdown]
# # 1. Today: one token for everything
#
# Next: [2 Scoped APIs](2_scoped_apis.ipynb)
#
# This notebook follows figure 1 of [the first post](https://next.redhat.com/2026/02/26/zero-trust-for-autonomous-agentic-ai-systems-building-more-secure-foundations/) of the series. `make notebooks` starts the system that its cells call, and JupyterLab: [how to run it](../docs/notebooks.md). The stored outputs are from a real run, with names in place of ids, ports and times.
#
# The first post of the series says what is wrong with many agent systems of today. This notebook runs such a system and breaks it.
#
# It is the system of figure 1. alice signs in at an application, client A. The application has a client id and a secret. For those it gets one token from Keycloak, and it sends that token to platform B. B passes it on to whoever it calls, down to tool C.
#
# Where `make notebooks` runs, each code cell calls the running system, and you can change a cell and run it again. Elsewhere, as on a page that shows the file, you see what the cells printed.

# %%
from lab.before import attacks
from lab.before.attacks import tried
from lab.notebooks.attach import attach
from lab.notebooks.figure import Arrow, figure
from lab.notebooks.use import close, curl, show, tell, today, token_of

figure(
    "Figure 1: today",
    {"alice": (0, 0), "A: application": (1, 0), "B: orchestrator": (2, 0), "B: agents": (3, 0), "C: tool": (4, 0)},
    [
        Arrow("alice", "A: application", "signs in"),
        Arrow("A: application", "B: orchestrator", "one token"),
        Arrow("B: orchestrator", "B: agents", "same token"),
        Arrow("B: agents", "C: tool", "same, and key"),
    ],
)

# %%
system = await attach()
before = await today(system)

# %% [markdown]
# alice signs in. This is the token that the application then gets.
#
# Look for alice in it: she is not there. `sub` is the application's own account, and `azp` names the application. `aud` has `platform`, which is all of B and C: so the token is good for everything there. `exp` is 3600 s after `iat`: it is good for an hour.

# %%
session = await before.sign_in("alice")
show(token_of(session.credentials))

# %% [markdown]
# ## Endpoint protection is surface-deep
#
# The front door checks the token. Without one, it refuses.

# %%
await curl('curl $FRONT/tasks --json \'{"request": "Hello"}\'', FRONT=before.doors["orchestrator"])

# %% [markdown]
# Nobody behind the front door checks anything. Here is the same program, without a token, at an agent.

# %%
await curl('curl $READER/run --json \'{"text": "Hello"}\'', READER=before.doors["agent/reader"])

# %%
tell(await tried(before, attacks.call_behind_the_front_door))

# %% [markdown]
# Whoever is inside the tool sees the token that came with a call. It opens the front door, too.

# %%
tell(await tried(before, attacks.spend_the_tools_token_at_the_front_door))

# %% [markdown]
# The reader needs its token for the tool alone. It opens all five doors.

# %%
tell(await tried(before, attacks.open_every_door))

# %% [markdown]
# ## The chain breaks across MCP boundaries
#
# One of the incident reports is poisoned. It orders the agents to read finance's forecast, and to overwrite a published report. The model obeys, as models do.
#
# alice works in engineering. The tool sees a key and a token of the application. It cannot know for whom it is called, so it hands out the forecast.

# %%
tell(await tried(before, attacks.have_the_forecast_read))

# %%
tell(await tried(before, attacks.have_the_report_overwritten))

# %% [markdown]
# Afterwards, somebody asks the tool's record for whom it was called. The record has the key, and no name.

# %%
tell(await tried(before, attacks.leave_no_name))

# %% [markdown]
# ## Verification without continuity
#
# What was checked once counts until the token ends. alice signs out, and the token works on. How long that goes on was not waited for. Keycloak said it when it gave the token (`expires_in`): 3600 s.

# %%
tell(await tried(before, attacks.go_on_after_sign_out))

# %% [markdown]
# Somebody deploys changed code in the writer's place. It keeps a copy of each token. It gets tokens as before.

# %%
tell(await tried(before, attacks.go_on_with_changed_code))

# %%
await close()

# %% [markdown]
# ## Figure 3
#
# Figure 3 draws the same fault in a stack of agents, tools and inference: each part passes on the token that it got, and holds static API keys. `make before` attacks that, too, on a real Llama Stack server ([docs/before.md](../docs/before.md)).
#
# `make compare` makes the same attacks on the system of figure 1 and on this project's. The next notebook shows the first reason why they fail there.
