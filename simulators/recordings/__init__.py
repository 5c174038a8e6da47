"""
Recordings of real people, read where they lie and in the format in which they came.

One file per format, each a pure parser of lines; `index` finds the recordings below a folder.
Nothing is copied or converted. Parsers return offsets, quantities and values only: names, serial
numbers and birthdays of exports are skipped.
"""
