"""What a party runs that calls agents."""
