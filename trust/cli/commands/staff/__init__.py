"""Commands of the staff: policies, officers, pseudonyms."""
