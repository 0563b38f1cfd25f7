//! The client side of package repositories: read indexes, resolve, download with hash checks.
