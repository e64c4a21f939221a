//! Merges the sums of many batches. Each batch keeps its own sorted, so only the next sums of each are in memory besides
//! what is kept, and everything about a product or a seller comes together.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::vec;

use analytics_core::deltas::Deltas;
use analytics_core::rollup::{Bucket, Measures};

use super::format::{StoredBucket, StoredSums, first, sorted, unreadable};
use crate::DbError;

/// The sums of several batches, as they are kept.
#[derive(Default)]
pub(crate) struct Sums(Vec<Vec<u8>>);

impl Sums {
    /// Adds the sums of a batch.
    pub(super) fn push(&mut self, kept: Vec<u8>) {
        self.0.push(kept);
    }

    /// Returns each bucket once, with the sum of what the batches and the [finest](Deltas::finest) sums of `deltas` add
    /// to it, in the order of [`StoredBucket`].
    pub(crate) fn merged<'a>(&'a self, deltas: &'a Deltas) -> Result<Merged<'a>, DbError> {
        let mut merged = Merged { next: BinaryHeap::new() };
        for kept in &self.0 {
            merged.push(Rest::Kept(kept))?;
        }
        merged.push(Rest::Deltas(sorted(deltas).into_iter()))?;
        Ok(merged)
    }
}

/// See [`Sums::merged`].
pub(crate) struct Merged<'a> {
    /// The next sums of each batch; the least bucket first.
    next: BinaryHeap<Next<'a>>,
}

struct Next<'a> {
    bucket: StoredBucket<'a>,
    measures: Measures,
    rest: Rest<'a>,
}

enum Rest<'a> {
    Kept(&'a [u8]),
    Deltas(vec::IntoIter<(StoredBucket<'a>, &'a Measures)>),
}

impl<'a> Merged<'a> {
    fn push(&mut self, rest: Rest<'a>) -> Result<(), DbError> {
        self.next.extend(rest.next()?);
        Ok(())
    }

    fn merge(&mut self, Next { bucket, mut measures, rest }: Next<'a>) -> Result<(Bucket, Measures), DbError> {
        self.push(rest)?;
        while self.next.peek().is_some_and(|next| next.bucket == bucket) {
            let Some(same) = self.next.pop() else { break };
            measures.merge(&same.measures);
            self.push(same.rest)?;
        }
        Ok((bucket.read().ok_or_else(|| unreadable("a bucket"))?, measures))
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<(Bucket, Measures), DbError>;

    fn next(&mut self) -> Option<Self::Item> {
        let least = self.next.pop()?;
        Some(self.merge(least))
    }
}

impl<'a> Rest<'a> {
    /// Returns the next sums, if there are any.
    fn next(self) -> Result<Option<Next<'a>>, DbError> {
        match self {
            Self::Kept([]) => Ok(None),
            Self::Kept(kept) => {
                let (sums, rest): (StoredSums<'a>, _) = first(kept)?;
                Ok(Some(Next { bucket: sums.bucket, measures: sums.measures(), rest: Self::Kept(rest) }))
            }
            Self::Deltas(mut rest) => Ok(rest.next().map(|(bucket, measures)| Next {
                bucket,
                measures: measures.clone(),
                rest: Self::Deltas(rest),
            })),
        }
    }
}

/// The heap returns the greatest first: that of the least bucket.
impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.bucket.cmp(&self.bucket)
    }
}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bucket == other.bucket
    }
}

impl Eq for Next<'_> {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use analytics_core::catalogue::Measure;
    use analytics_core::ids::{ProductId, VendorId};
    use analytics_core::money::Currency;
    use analytics_core::rollup::{Granularity, Scope};
    use chrono::DateTime;
    use fastrand::Rng;

    use super::super::format::{encoded, sums_in};
    use super::*;

    /// Sums of buckets of which there are few, so that they repeat.
    fn random_deltas(random: &mut Rng) -> Deltas {
        let mut deltas = Deltas::only_finest();
        for _ in 0..random.usize(..40) {
            let id = format!("{}", random.u8(..12));
            let scope = match random.u8(..4) {
                0 => Scope::Total,
                1 => Scope::Unattributed,
                2 => Scope::Product(ProductId::parse(&id).unwrap()),
                _ => Scope::Seller(VendorId::parse(&id).unwrap()),
            };
            let bucket = Bucket {
                start: DateTime::from_timestamp(86_400 * random.i64(-2..2), 0).unwrap(),
                granularity: Granularity::finest(scope.kind()),
                scope,
                foreign_currency: *random.choice(&[None, Currency::parse("EUR"), Currency::parse("CHF")]).unwrap(),
            };
            let measure = *random.choice(&[Measure::Views, Measure::Orders, Measure::Revenue]).unwrap();
            deltas.rollups.entry(bucket).or_default().add(measure, random.i64(..).into());
        }
        deltas
    }

    #[test]
    fn each_bucket_is_merged_once_in_order_whether_or_not_a_batch_was_kept_sorted() {
        for seed in 0..200 {
            let mut random = Rng::with_seed(seed);
            let (mut sums, mut expected) = (Sums::default(), HashMap::<Bucket, Measures>::new());
            let mut expect = |deltas: &Deltas| {
                for (bucket, measures) in &deltas.rollups {
                    expected.entry(bucket.clone()).or_default().merge(measures);
                }
            };
            for _ in 0..random.usize(..6) {
                let deltas = random_deltas(&mut random);
                expect(&deltas);
                let mut list: Vec<_> = sorted(&deltas).into_iter().map(|(b, m)| StoredSums::of(b, m)).collect();
                if random.bool() {
                    random.shuffle(&mut list);
                }
                let mut bytes = encoded(&list).unwrap();
                bytes.extend([7, 8]);
                let (kept, rest) = sums_in(&bytes).unwrap();
                assert_eq!(rest, [7, 8], "what follows the list");
                sums.push(kept);
            }
            let decided = random_deltas(&mut random);
            expect(&decided);

            let merged: Vec<_> = sums.merged(&decided).unwrap().map(Result::unwrap).collect();
            assert!(merged.is_sorted_by(|(a, _), (b, _)| (&a.scope, a) < (&b.scope, b)), "seed {seed}: {merged:?}");
            assert_eq!(merged.into_iter().collect::<HashMap<_, _>>(), expected, "seed {seed}");
        }
    }
}
