"""Intruders inside the containers of genuine workloads: what `start/compose.intruders.yaml` adds."""
