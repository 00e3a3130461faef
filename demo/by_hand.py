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
  ask() {{ curl -sS -w '\n' --cacert run/ca.pem --connect-to ::127.0.0.1: "$@"; }}

  # passwords and tokens pass through pipes: arguments and exported variables of a process can be read by others
  as_alice() {{ ask -H @<(printf 'Authorization: Bearer %s' "$TOKEN") "$@"; }}
  zt() {{ .venv/bin/zt --user olga "$@" <<< "$OLGA"; }}

  # alice signs in, as a browser would; after five minutes her token is "expired": then do this again
  TOKEN=$(scripts/run demo token alice <<< '{password}')
  TASK='{request}'

  # what would be done; and then doing it, each event as it comes, "finished" at last
  as_alice {orchestrator}/plan --json "$TASK"
  as_alice -N {orchestrator}/tasks -H "Accept: text/event-stream" --json "$TASK"

  # no token: 401 no_token
  ask -i {orchestrator}/tasks --json "$TASK"

  # her own token, taken to the tool: no answer at all (curl 52 or 56), for the tool wants a certificate first
  as_alice {documents}/mcp --json '{{}}'

  # olga, an operator, sees who takes part, and suspends one: a task that needs it fails, peer_withdrawn
  OLGA='{olga}'
  zt party list
  zt party suspend agent/reader
  as_alice {orchestrator}/tasks --json "$TASK"
  zt party reinstate agent/reader

  # one file more among the writer's, and it is nobody any more: drifted, and peer_withdrawn
  touch agents/writer/planted.py; sleep 1
  zt party show agent/writer
  as_alice {orchestrator}/tasks --json "$TASK"

  # as it was approved again, it stays suspended until an operator says otherwise
  rm agents/writer/planted.py; sleep 1
  zt party show agent/writer
  zt party reinstate agent/writer

  # what the tool decided, and wrote down before it did it; the whole records say who asked, for whom, by which token
  grep -oE '"operation":.*"reason":"[a-z_]+"' {journal} | tail -n 5

{ready}"""
