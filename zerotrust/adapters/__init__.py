"""The code that an agent and its caller share for A2A: cards, answers, and the name of a model."""
