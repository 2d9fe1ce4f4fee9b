//! OpenStack.
