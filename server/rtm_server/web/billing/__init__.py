"""The month of the billing clerk: lines, reasons, release, export."""
