"""What speaking A2A needs on both sides: cards, answers, and the client with which one party calls an agent."""
