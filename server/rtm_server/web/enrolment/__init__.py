"""A new patient, from the door to the first exercise: episode, consent, plan, sensors, sign-in; and what follows."""
