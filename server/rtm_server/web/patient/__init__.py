"""One patient: what changed, sessions, both clocks, and writing down minutes and contacts."""
