"""The systems that the series calls today's, to be attacked.  Nothing here knows what an attack should achieve."""
