"""Pages of the three people: the therapist, the patient and the billing clerk."""
