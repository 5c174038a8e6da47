"""
Recordings of real people, read where they lie in the format they came in.

One file per format, each a pure parser of lines; `index` finds what lies below a folder. Nothing
is copied or converted, and nothing but offsets, quantities and values leaves a parser: names,
serials and birthdays that exports carry are passed over.
"""
