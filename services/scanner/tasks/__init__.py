"""Tasks: how they begin, what they wait for, what is told of them, how they are found."""
