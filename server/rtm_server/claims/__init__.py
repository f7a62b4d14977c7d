"""Claims: released lines become claims, leave as 837P or CSV, and move with the payer's answers; the audit file."""
