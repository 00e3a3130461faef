"""How people sign in, and reach the parties that take their tokens."""
