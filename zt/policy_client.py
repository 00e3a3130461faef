"""The operators' client of the policy authority."""

from zt.authority_client import AuthorityClient
from zt.doors import POLICY_AUTHORITY


class PolicyClient(AuthorityClient):
    """Sends requests to the policy authority, as one operator.  All methods raise `CommandError`."""

    door = POLICY_AUTHORITY
