"""
Invented people, where no recording is at hand: physiology from a seed, the same every time.

Pure functions of a seed and of time. They move like the real thing (nights, meals, exercise,
hypoglycaemia) and fail like it (warm-up, lost contact, saturation); they are no model to learn
medicine from.
"""
