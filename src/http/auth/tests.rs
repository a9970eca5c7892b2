//! What the tests of this part share.

#[path = "../../../tests/it/issuer.rs"]
pub mod issuer;
