"""Go: modules of programs and of go.mod."""
