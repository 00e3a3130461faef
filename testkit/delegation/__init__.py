"""The delegation kit: what an issuer of any kind does in token exchange (RFC 8693), as tests of pytest.

    pytest --pyargs testkit.delegation --delegation my_issuer.py

`test_delegation.py` has the checks; docs/how-to/delegation-kit.md shows how to describe an issuer.  The kit imports
httpx, PyJWT, cryptography and pytest, and nothing else of this project.
"""

from testkit.delegation.issuer import Client, Issuer, Key, SignedIn, password_grant, private_key_jwt

__all__ = ["Client", "Issuer", "Key", "SignedIn", "password_grant", "private_key_jwt"]
