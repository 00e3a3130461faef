"""`zt receipt`: who took part in a task."""
