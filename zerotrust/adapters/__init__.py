"""What an agent and its caller both need to speak A2A: cards, answers, and the name of a model."""
