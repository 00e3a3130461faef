"""Requests to the authorization server: metadata, keys, token exchange (RFC 8693), introspection (RFC 7662)."""
