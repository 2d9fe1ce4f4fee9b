//! SSH keys of an account. The portal keeps public keys only.
//!
//! A pair that the portal makes leaves it in the answer that makes it, as a download. Where the answer has to be a
//! redirect (renting without a key), the private key travels in an encrypted cookie of the person's own browser for at
//! most ten minutes and is handed out once; no table and no file ever holds it.

pub mod model;
pub mod routes;
