"""`zt` as the one program of a container, which operates as the party that its code is."""

from zt.commands import app

if __name__ == "__main__":
    app(prog_name="zt")
