"""How people sign in, and reach what takes their tokens.  Nothing here is about what they do then."""
