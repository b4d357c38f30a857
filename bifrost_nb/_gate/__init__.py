"""A comparison held to rules: passed, failed or undecided, with files for workflows."""
