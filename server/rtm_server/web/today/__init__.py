"""The patient's own day: one path, large text, large buttons."""
