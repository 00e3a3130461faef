"""Runs the whole system on one machine, without containers; `Dockerfile` and `setup.py` are for containers.

`everything.py` runs the attestation authority, which launches every party from a measured copy.  Meanwhile it starts
Keycloak, and with `MODEL=llama-stack` a model server.  It waits for the registry, the policy and the audit authority,
and then for the services.

`make up` keeps everything in `run`, and `make demo` in `run/walkthrough`, each in the same folders and files:

- `data`: a folder for each party, with its `journal.jsonl` and its store, until `make fresh`.  The oldest records of a
  journal stay only until the audit log has them.
- `logs`: a log for each party, and `local.log` of the process that runs them, until the next start.
- `past`: logs and `ca.pem` of the run before, until the next start.
- `keycloak`: Keycloak, its database and `keycloak.log`, made again at each start.
- `llama-stack`: with `MODEL=llama-stack`, the server's key, configuration, databases and log, made again at each start.
- `audit.policy`: which log and which witness one trusts, for `zt audit verify`, until `make fresh`.  Then it is
  `audit.policy.before` until the next one.
- `ca.pem`: the certificate authority of this run, until the next start.
- `browser`: with `start/run start browser`, the profile of a browser that trusts that authority.
- `hints`: what `make up` printed, passwords included, for `make hints`, until it ends.
"""
