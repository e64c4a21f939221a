//! Hash maps and sets for the contents of a batch, with a hash function that is fast for short
//! texts.
//!
//! The hash is seeded at random in each process. Unlike the standard library's, it does not protect
//! against an attacker who can observe it; but the size of a batch is bounded, and so is the cost
//! of collisions in it.

use foldhash::fast::RandomState;

/// A hash map with the fast hash function.
pub type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
/// A hash set with the fast hash function.
pub type HashSet<T> = std::collections::HashSet<T, RandomState>;
