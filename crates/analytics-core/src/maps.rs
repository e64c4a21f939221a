//! Maps and sets of what a batch holds, by a hash that is quick for short texts.
//!
//! Its seed is drawn anew in each process. It is no protection against somebody who could watch it,
//! as the standard library's is; a batch is bounded, and so is what collisions in it could cost.

use foldhash::fast::RandomState;

/// A map.
pub type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
/// A set.
pub type HashSet<T> = std::collections::HashSet<T, RandomState>;
