"""The steps that a person can try by hand while the system runs: `make up` prints them, and a test runs them."""

import json

from local.system import HOST, ROOT, System

REQUEST = "Summarise the incident reports of my department and file the result."


def steps(system: System) -> str:
    """Return the steps that a person can try while the system runs."""
    called = "orchestrator", "tool/documents"
    return _STEPS.format(  # control: secrets-not-in-arguments
        found=" ".join(f"--connect-to {system.registry.dns_name(name)}::{HOST}:{system.port(name)}" for name in called),
        password=system.keycloak.passwords["alice"],
        request=json.dumps({"request": REQUEST}),
        orchestrator=system.registry.address("orchestrator"),
        documents=system.registry.address("tool/documents"),
        journal=system.journal("tool/documents").relative_to(ROOT),
    )


def receipt_steps(system: System) -> str:
    """Return the steps that show who took part in a task, for the same shell, after those of `steps`."""
    return _RECEIPTS.format(orchestrator=system.registry.address("orchestrator"))


_STEPS = r"""
The passwords are of this run only.  Step by step, in bash
(in zsh: `setopt interactive_comments` first):

  # trust this run's CA; connect to each party's own address;
  # a file gets the answer unchanged; a terminal gets a line feed at its
  # end, and … instead of the receipts, which have 60,000 letters
  ask() {{
    set -- curl -sS --cacert run/ca.pem {found} "$@"
    if [ -f /dev/stdout ]; then "$@"; return; fi
    "$@" -w '\n' | sed -uE 's/[A-Za-z0-9+/_=.~-]{{200,}}/…/g'
  }}

  # secrets go through pipes: others can read a process's arguments
  as_alice() {{ ask -H @<(printf 'Authorization: Bearer %s' "$TOKEN") "$@"; }}
  zt() {{ .venv/bin/zt --user olga "$@"; }}

  # alice signs in; after five minutes ("expired"), do this again
  # (without `<<<` and what follows, it asks for her password)
  TOKEN=$(scripts/run local token alice <<< '{password}')
  TASK='{request}'

  # the plan; then the task, event by event, to "finished"
  as_alice {orchestrator}/plan --json "$TASK"
  as_alice -N {orchestrator}/tasks -H "Accept: text/event-stream" --json "$TASK"

  # no token: 401 no_token
  ask -i {orchestrator}/tasks --json "$TASK"

  # her own token at the tool: no answer (curl 52 or 56), no certificate
  as_alice {documents}/mcp --json '{{}}'

  # olga, an operator, suspends a party: a task gets peer_revoked
  # each zt opens a browser, where she signs in (over SSH: zt --device)
  # it does not know run/ca.pem, and warns: docs/how-to/operate.md
  zt party list
  zt party suspend agent/reader
  as_alice {orchestrator}/tasks --json "$TASK"
  zt party reinstate agent/reader

  # one file more in the writer's code: drifted, and peer_revoked
  touch agents/writer/planted.py; sleep 1
  zt party show agent/writer
  as_alice {orchestrator}/tasks --json "$TASK"

  # with the file removed, it stays suspended until reinstated
  rm agents/writer/planted.py; sleep 1
  zt party reinstate agent/writer

  # the tool's decisions, each recorded before the act
  grep -oE '"decision":.*"operation":"[^"]+"' {journal} | tail -n 5
"""

_RECEIPTS = r"""
Who took part in a task (docs/reference/receipts.md).  In the same shell, sign
alice in again, so that no other answer has the same tokens, and then:

  as_alice -o run/answer.json --json "$TASK" \
    {orchestrator}/tasks; sleep 2
  DIGEST=$(.venv/bin/zt receipt digest run/answer.json)
  as_alice -o run/answer.json.proof \
    {orchestrator}/receipts/$DIGEST
  .venv/bin/zt receipt verify run/answer.json

  # seven minutes later: did nobody else take part?
  .venv/bin/zt audit export > run/evidence.jsonl
  .venv/bin/zt audit verify run/evidence.jsonl
  .venv/bin/zt receipt verify run/answer.json --export run/evidence.jsonl
"""
