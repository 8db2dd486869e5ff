"""Rust: crates of programs and of Cargo.lock."""
