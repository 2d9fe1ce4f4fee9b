//! The program itself, as a process.
