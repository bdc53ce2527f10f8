//! Bytes and checks.
