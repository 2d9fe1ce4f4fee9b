//! Unguessable values, from the operating system.

use rand::TryRngCore;
use rand::rngs::OsRng;

/// `N` random bytes.
///
/// # Panics
/// When the operating system has no randomness to give: nothing secure can be done then.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "without randomness no secret can be made, and going on would be worse")]
    OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// 256 bits as 64 hexadecimal digits: keys of sessions, one-time links, forms.
pub fn token() -> String {
    hex::encode(bytes::<32>())
}
