"""Passwords, sessions, throttling and the sign-in page."""
