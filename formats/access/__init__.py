"""A person's own copy: everything that GDPR art. 15 wants told, as values, a page and a table."""
