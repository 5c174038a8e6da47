"""
`vitalveil doctor`: what is wrong with an installation, and how to mend it.

Looks, and changes nothing. What it finds is judged by pure functions, so that each fault can be
planted in a test.
"""
