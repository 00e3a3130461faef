"""A transparency log as C2SP defines it (c2sp.org/tlog-tiles), so that programs of other projects read and verify it.

`tree` has the hashes and proofs, `note` the signed text, `checkpoint` the log's head and its cosignatures, `quorum`
which signatures are enough, and `proof` one entry's evidence.  Nothing of it does input or output by itself.
"""
