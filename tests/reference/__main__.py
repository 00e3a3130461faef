"""Writes docs/reference, and the style of docs/pictures: `start/run tests.reference`."""

import sys

from tests.reference import bounds, commands
from tests.reference.pages import FOLDER, PAGES
from tests.reference.pictures import pictures

bounds.drop_what_is_gone()
commands.drop_what_is_gone()
for name, page in PAGES.items():
    (FOLDER / name).write_text(page())
    sys.stdout.write(f"docs/reference/{name}\n")
for file, picture in pictures().items():
    file.write_text(picture)
