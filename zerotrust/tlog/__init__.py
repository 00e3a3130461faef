"""A transparency log as C2SP defines it (c2sp.org/tlog-tiles), so that programs of other projects read and verify it.

`tree` has hashes and checks proofs, `note` is the signed text, `checkpoint` the head of the log and its cosignatures.
`quorum` decides which signatures are enough, and `proof` is one entry's evidence.  Nothing of it does input or output.
"""
