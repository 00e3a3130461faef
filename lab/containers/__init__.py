"""Intruders inside the containers of genuine workloads: what `compose.intruders.yaml` adds."""
