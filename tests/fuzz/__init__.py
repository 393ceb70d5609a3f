"""A fuzzer with an oracle of its own: `python -m tests.fuzz SECONDS [SEED]`.

`draws` makes arguments, `checks` calls the package with them and compares with `oracle`, which is
exact and uses nothing of the package. What fails is made smaller and printed as a test.
"""
