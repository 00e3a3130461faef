"""What is asked of the authorization server: its keys, token exchange (RFC 8693), introspection (RFC 7662)."""
