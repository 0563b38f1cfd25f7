//! The package service that feeds Package Manager.
