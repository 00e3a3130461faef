"""The operators' client of the policy authority."""

from collections.abc import Mapping
from typing import Any

from zerotrust.registry.snapshot import MAX_POLICY
from zt.authority_client import AuthorityClient
from zt.doors import POLICY_AUTHORITY

MOST_TOLD = 20
"""Problems of policies in an error; with `--json` and `zt policy test` there are all that the authority tells."""


class PolicyClient(AuthorityClient):
    """Sends requests to the policy authority, as one operator.  All methods raise `CommandError`."""

    door = POLICY_AUTHORITY

    def sentences(
        self,
        path: str,
        sent: Mapping[str, Any],  # noqa: ARG002
        content: Mapping[str, Any],
        refused: str,  # noqa: ARG002
    ) -> dict[str, str]:
        """Return, for each reason of the policy authority, what it is about and the next step."""
        advice = str(content.get("advice") or "")
        told = content.get("problems")
        problems = [str(one) for one in told] if isinstance(told, list) else []
        listed = "".join(f"\n- {one}" for one in problems[:MOST_TOLD])
        number = len(problems) + int(content.get("further_problems") or 0)
        listed += f"\nand {number - MOST_TOLD} more." if number > MOST_TOLD else ""
        return {
            "policy_denied": f"{self.user} is not an operator (policy `operate-policies`): sign in as a member of the "
            "group /operators.",
            "policy_unfit": f"Nothing was activated: these policies may not be published.{listed}\nCorrect "
            "the rules, or the rows of the table that are out of date; then run `zt policy test` again."
            if listed
            else f"Nothing was activated: {advice}.",
            "policy_moved": f"Nothing was activated.  {advice}",
            "no_such_version": f"{advice or 'There is none of that number'}: `zt policy list` lists those that are "
            "kept.",
            "not_registered": f"There is no party {path.removeprefix('/may/')}: "
            f"{advice and f'{advice}  '}`zt party list` lists them all.",
            "versions_unavailable": f"Nothing was activated: {advice}",
            "registry_unavailable": f"The registry did not answer.  {advice}",
            "malformed_body": "Nothing was done: a policy file is called NAME.cedar, in lower-case letters, digits, - "
            f"and _; all of them have at most {MAX_POLICY} characters, and so has the schema.",
        }
