//! Swift by its look-alike.
