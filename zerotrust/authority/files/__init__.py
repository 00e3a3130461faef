"""The files of the registry and of the policies.  Each is read strictly, or refused with file, key and reason."""
