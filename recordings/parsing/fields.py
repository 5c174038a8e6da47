"""Fields of text files: numbers and units of glucose. A field is read strictly, or is None."""

import re
from typing import Final

# Narrower than float(), which accepts "nan", "1_000" and digits of other scripts.
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?", re.ASCII)
_COMMA_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,12},[0-9]{1,12}", re.ASCII)


def number(text: str) -> float | None:
    """Return *text*, with a decimal point, as a number, or None."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


class Decimals:
    """
    The numbers of one file, which has one decimal sign.

    The first number with a sign decides. A number with the other one is not read, because a comma
    could then stand between thousands.
    """

    def __init__(self) -> None:
        self._sign: str | None = None

    def has_other_sign(self, text: str) -> bool:
        """Tell whether *text* is a number with another decimal sign than the file's."""
        sign = self._sign_of(text.strip())
        return sign is not None and self._sign is not None and sign != self._sign

    def read(self, text: str) -> float | None:
        """Return *text* as a number, or None if it is none or has another decimal sign."""
        text = text.strip()
        sign = self._sign_of(text)
        if sign is None:
            return number(text)
        if self._sign is None:
            self._sign = sign
        return number(text.replace(",", ".")) if sign == self._sign else None

    def _sign_of(self, text: str) -> str | None:
        if _COMMA_NUMBER.fullmatch(text):
            return ","
        return "." if "." in text and _NUMBER.fullmatch(text) else None
