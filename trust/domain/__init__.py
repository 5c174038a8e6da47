"""Values and rules without I/O: purposes, pseudonyms, documents, certificates, tokens."""
