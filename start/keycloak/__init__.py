"""Finds or fetches Keycloak and its Java, builds it, and runs it on this machine."""
