//! Identity tokens of other issuers (OpenID Connect), and what they are exchanged for.
//!
//! How they are verified is [`sim_kit::identity`]'s. Only issuers that the server was told to trust are ever asked for their keys.

pub mod federation;

pub use sim_kit::identity::{Claims, Issuers, claimed_issuer, is_for, of_sign_in, text};
