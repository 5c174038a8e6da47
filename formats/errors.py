"""Errors of the forms."""


class FormatError(Exception):
    """What is to be read is not in the form that it should be in."""


class Unopened(FormatError):
    """The passphrase is another, or the file is not as it was written."""

    def __init__(self) -> None:
        super().__init__("the export does not open: another passphrase, or a damaged file")
