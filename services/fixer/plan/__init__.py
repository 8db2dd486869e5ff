"""What is to be fixed, by which packages, and what cannot be: values and pure functions, nothing is asked here."""
