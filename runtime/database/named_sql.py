"""Named SQL: the statements of a file, each after a line `-- name: what_it_does`."""

import re
from importlib import resources
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def read(package: str, *files: str) -> dict[str, bytes]:
    """
    Return the statements of *files* in the folder `sql` of *package*, by name.

    Raises:
        ValueError: Two of the files have statements of the same name.
    """
    folder = resources.files(package).joinpath("sql")
    found: dict[str, bytes] = {}
    for file in files:
        more = parse(folder.joinpath(file).read_text(encoding="utf-8"))
        if twice := sorted(found.keys() & more.keys()):
            raise ValueError(
                f"The file sql/{file} of {package} repeats statement names: {', '.join(twice)}."
            )
        found |= more
    return found


def parse(text: str) -> dict[str, bytes]:
    """Return the statements of *text* by name, without comments and the final semicolon."""
    pieces = _NAME.split(text)
    return {
        name: _bare(body).encode() for name, body in zip(pieces[1::2], pieces[2::2], strict=True)
    }


def _bare(body: str) -> str:
    lines = [line for line in body.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip().removesuffix(";")
