"""`zt audit`: who did what, exports of the log, and what proves them."""
