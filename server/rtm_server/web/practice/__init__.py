"""What claims need on file: the practice's own data with its charges, and each patient's payer."""
