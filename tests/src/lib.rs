//! Cross-product scenarios and real clients.
