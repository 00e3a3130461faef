"""Code for a party that calls agents."""
