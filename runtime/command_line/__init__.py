"""What all commands share: their parsers, tables, JSON output, and completion in a shell."""
