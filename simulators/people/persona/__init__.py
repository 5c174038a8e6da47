"""
Invented people, for runs without recordings: a physiology that follows from a seed.

Pure functions of a seed and of time. Values move like measured ones (nights, meals, exercise,
hypoglycaemia) and sensors fail like real ones (warm-up, lost contact, saturation). Not a model to
learn medicine from: shapes and constants were chosen by eye and compared with recordings in
`docs/personas.md`.
"""
