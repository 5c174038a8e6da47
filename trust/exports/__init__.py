"""What is stored of a person, in forms that others read, sealed with her passphrase."""
