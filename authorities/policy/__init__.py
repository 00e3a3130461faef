"""The policy authority: the rules, the checks before they are published, and the API by which others ask them."""
