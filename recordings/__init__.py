"""
Files of readings that other programs wrote: exports of vendors, recordings of research.

Everything that the interpretation of a file needs is read from the file: encoding, delimiter,
decimal sign, order of dates, unit and language. What a file does not say is asked for or refused;
it is never guessed. Nothing is left out without a count and a reason. `vendors` has one module
for each format. Names, serial numbers and birthdays in a file are not read.
"""
