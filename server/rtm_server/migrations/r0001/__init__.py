"""The SQL of revision 0001, in the order it runs: clinical, signal_data, ledger, rights."""
