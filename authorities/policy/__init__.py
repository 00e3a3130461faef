"""The policy authority: the rules, what they have to pass before they are published, and how others ask them."""
