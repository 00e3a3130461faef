"""Keycloak as the registry sees it: its events, its logout tokens, and changes by its Admin API."""
