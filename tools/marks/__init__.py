"""What `tools/results_table.py` writes between two marks: a file a kind of table, or some."""
