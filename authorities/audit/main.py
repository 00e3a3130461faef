"""The audit authority: takes every party's journal, and publishes all records in one log that anybody can verify.

Every caller is a workload with a certificate.  No token is issued for this party, so no user's authority reaches it.
"""

from authorities.audit.app import create_app
from zerotrust.runtime import run

if __name__ == "__main__":
    run("authority/audit", create_app)
