"""Code that the authorities share.  Other parties are measured without it."""
