"""What a person can type while the system runs: `make up` prints it, and a test types it."""

import json

from demo.system import ROOT, System

REQUEST = "Summarise the incident reports of my department and file the result."
READY = "`make down` ends it."
"""The last line of what is said before everything is left running: whoever has not read it knows that it failed."""


def steps(system: System) -> str:
    """What a person can type while the system runs, one step after the other."""
    return _STEPS.format(
        password=system.keycloak.passwords["alice"],
        olga=system.keycloak.passwords["olga"],
        request=json.dumps({"request": REQUEST}),
        orchestrator=system.registry.address("orchestrator"),
        documents=system.registry.address("tool/documents"),
        journal=system.journal("tool/documents").relative_to(ROOT),
        ready=READY,
    )


_STEPS = r"""
The passwords are of this run only.  Step by step, in bash (in zsh: `setopt interactive_comments` first):

  # whom to believe, and where the names in certificates are found; each answer ends its line
  alias ask='curl -sS -w "\n" --cacert run/ca.pem --connect-to ::127.0.0.1:'

  # alice signs in, as a browser would; after five minutes her token is "expired": then do this again
  TOKEN=$(.venv/bin/python -m demo token alice '{password}')
  TASK='{request}'

  # what would be done; and then doing it, each event as it comes, "finished" at last
  ask {orchestrator}/plan -H "Authorization: Bearer $TOKEN" --json "$TASK"
  ask -N {orchestrator}/tasks -H "Authorization: Bearer $TOKEN" -H "Accept: text/event-stream" --json "$TASK"

  # no token: 401 no_token
  ask -i {orchestrator}/tasks --json "$TASK"

  # her own token, taken to the tool: no answer at all (curl 52 or 56), for the tool wants a certificate first
  ask -i {documents}/mcp -H "Authorization: Bearer $TOKEN" --json '{{}}'

  # olga, an operator, sees who takes part, and suspends one: a task that needs it fails, peer_withdrawn
  export ZT_USER=olga ZT_PASSWORD='{olga}'
  .venv/bin/zt party list
  .venv/bin/zt party suspend agent/reader
  ask {orchestrator}/tasks -H "Authorization: Bearer $TOKEN" --json "$TASK"
  .venv/bin/zt party reinstate agent/reader

  # one file more among the writer's, and it is nobody any more: drifted, and peer_withdrawn
  touch agents/writer/planted.py; sleep 1
  .venv/bin/zt party show agent/writer
  ask {orchestrator}/tasks -H "Authorization: Bearer $TOKEN" --json "$TASK"

  # as it was approved again, it stays suspended until an operator says otherwise
  rm agents/writer/planted.py; sleep 1
  .venv/bin/zt party show agent/writer
  .venv/bin/zt party reinstate agent/writer

  # what the tool decided, and wrote down before it did it; the whole records say who asked, for whom, by which token
  grep -oE '"operation":.*"reason":"[a-z_]+"' {journal} | tail -n 5

{ready}"""
