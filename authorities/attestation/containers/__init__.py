"""The SPIFFE agent of a machine with Docker: attests running containers, by what the kernel says and by every file.

It launches nothing and asks Docker nothing.  It needs to see the machine's processes (`pid: host`), and to have the
same user and group id as the parties; it needs no capability.
"""
