"""Collects facts from this machine, Docker and the running system.  Everything here has a time limit."""
