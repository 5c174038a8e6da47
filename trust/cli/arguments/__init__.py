"""The parsing of command lines: parsers, and the conversion of text to values."""
