"""Why the system does not start on this machine."""


class KeycloakError(Exception):
    """Keycloak is not available, or does not run.  The text names the cause and the next step."""
