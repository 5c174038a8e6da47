"""The words of a person's page, by language."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from formats.access.words import de, en, fr

LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {"fr": fr.WORDS, "en": en.WORDS, "de": de.WORDS}
)
"""The words by key, by the language's tag (BCP 47)."""
PAGES: Final[Mapping[str, str]] = MappingProxyType(
    {"fr": "vos-donnees.html", "en": "your-data.html", "de": "ihre-daten.html"}
)
"""The file of the page in each language."""
