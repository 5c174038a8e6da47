"""The commands of `vitalveil trust`: what each takes, what it does, what it prints."""
