"""What the tests stand on: an issuer in memory and the services in process.  Fakes live here and nowhere else."""
