"""What came out: statistics, tables, explanations, figures and the page around them."""
