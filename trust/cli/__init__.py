"""The commands of `vitalveil trust`: their arguments, their work and their results."""
