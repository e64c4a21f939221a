//! Answers that are kept for some seconds, because reading them means reading many rows.
//!
//! A request is answered from what is kept, which is read again in the background before it is a
//! minute old. What is read quickly is kept for less.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::rt;

/// From this age on, what is kept is read again in the background; earlier, if reading takes less
/// than a two-hundredth of this time.
pub(crate) const FRESH: Duration = Duration::from_secs(20);
/// From this age on, what is kept is not used any more; earlier likewise.
pub(crate) const OLD: Duration = Duration::from_secs(55);
/// How long answers are kept at most.
const KEPT: Duration = Duration::from_secs(300);
/// The most answers to the same question that are kept.
const MOST_ANSWERS: usize = 2;
/// How long an answer of several pages is kept after its last page that was asked for.
const PAGED: Duration = Duration::from_secs(300);

/// Answers to questions, the newest last, and the questions that are being read again.
pub(crate) struct Cache<Q, A> {
    answers: HashMap<Q, Vec<Answer<A>>>,
    renewing: HashSet<Q>,
}

/// An answer that was read.
pub(crate) struct Answer<A> {
    /// When it was read, and how long that took.
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    pub(crate) answer: Arc<A>,
}

impl<A> Clone for Answer<A> {
    fn clone(&self) -> Self {
        Self { answer: Arc::clone(&self.answer), ..*self }
    }
}

impl<A> Answer<A> {
    /// Reads an answer, and measures how long that takes.
    pub(crate) async fn read<E>(read: impl Future<Output = Result<A, E>>) -> Result<Self, E> {
        let at = Instant::now();
        let answer = Arc::new(read.await?);
        Ok(Self { at, took: at.elapsed(), answer })
    }

    /// Whether it is younger than `at_most`, or as much younger as it was quick to read.
    pub(crate) fn is_within(&self, at_most: Duration) -> bool {
        self.at.elapsed() < at_most.min(self.took.saturating_mul(200))
    }
}

impl<Q, A> Default for Cache<Q, A> {
    fn default() -> Self {
        Self { answers: HashMap::new(), renewing: HashSet::new() }
    }
}

impl<Q: Eq + Hash + Clone, A> Cache<Q, A> {
    /// Returns the newest answer that is wanted.
    pub(crate) fn find(&self, question: &Q, wanted: impl Fn(&Answer<A>) -> bool) -> Option<Answer<A>> {
        self.answers.get(question)?.iter().rev().find(|answer| wanted(answer)).cloned()
    }

    /// Keeps an answer, and forgets those that are too old, and the oldest if there are too many.
    pub(crate) fn keep(&mut self, question: Q, answer: Answer<A>, most: usize) {
        let answers = self.answers.entry(question).or_default();
        answers.push(answer);
        answers.drain(..answers.len().saturating_sub(MOST_ANSWERS));
        let mut times: Vec<Instant> = self.answers.values().flatten().map(|answer| answer.at).collect();
        times.sort_unstable();
        let oldest = times.len().checked_sub(most).and_then(|over| times.get(over)).copied();
        self.answers.retain(|_, answers| {
            answers.retain(|answer| answer.at.elapsed() < KEPT && oldest.is_none_or(|oldest| answer.at >= oldest));
            !answers.is_empty()
        });
    }
}

/// Answers of which a page was given, and not the last one, the one that was asked for last at the end.
pub(crate) struct Paged<Q, A>(Vec<(Q, Arc<A>, Instant)>);

impl<Q, A> Default for Paged<Q, A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Q: Eq + Clone, A> Paged<Q, A> {
    /// Keeps an answer for its later pages. Forgets those whose pages nobody asks for any more, and first
    /// those that were not asked for longest if all are larger than `most`.
    pub(crate) fn keep(&mut self, question: &Q, answer: &Arc<A>, size: impl Fn(&A) -> usize, most: usize) {
        self.0.retain(|(_, kept, asked_at)| asked_at.elapsed() < PAGED && !Arc::ptr_eq(kept, answer));
        self.0.push((question.clone(), Arc::clone(answer), Instant::now()));
        let mut whole = 0_usize;
        let fits = |(_, kept, _): &&(Q, Arc<A>, Instant)| {
            whole = whole.saturating_add(size(kept));
            whole <= most
        };
        // The last one stays, however large it is.
        let count = self.0.iter().rev().take_while(fits).count().max(1);
        self.0.drain(..self.0.len().saturating_sub(count));
    }

    /// Returns the answer that is wanted, if it is kept.
    pub(crate) fn find(&self, question: &Q, wanted: impl Fn(&A) -> bool) -> Option<Arc<A>> {
        let found = self.0.iter().find(|(kept, answer, _)| kept == question && wanted(answer));
        found.map(|(_, answer, _)| Arc::clone(answer))
    }
}

/// Returns an answer that is less than a minute old. `read` reads it and is called in the background
/// if the answer is not fresh any more.
pub(crate) async fn fresh<Q, A, E, F>(
    cache: &Arc<Mutex<Cache<Q, A>>>,
    question: Q,
    most: usize,
    read: impl FnOnce() -> F,
) -> Result<Arc<A>, E>
where
    Q: Eq + Hash + Clone + 'static,
    A: 'static,
    E: 'static,
    F: Future<Output = Result<Answer<A>, E>> + 'static,
{
    let kept = lock(cache).find(&question, |kept| kept.is_within(OLD));
    if let Some(kept) = kept.as_ref().filter(|kept| kept.is_within(FRESH)) {
        return Ok(Arc::clone(&kept.answer));
    }
    let (own, read, asked) = (Arc::clone(cache), read(), question.clone());
    let renewed = async move {
        let read = read.await?;
        let answer = Arc::clone(&read.answer);
        lock(&own).keep(question, read, most);
        Ok(answer)
    };
    let Some(kept) = kept else { return renewed.await };
    // The next request gets a newer one; it is read once, however many ask for it.
    if lock(cache).renewing.insert(asked.clone()) {
        let cache = Arc::clone(cache);
        rt::spawn(async move {
            // A failure was logged; the next request tries again.
            drop(renewed.await);
            lock(&cache).renewing.remove(&asked);
        });
    }
    Ok(kept.answer)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_several_pages_are_kept_within_a_size_those_asked_for_last_first() {
        let [small, other, large, huge] = [3, 4, 6, 20].map(Arc::new);
        let mut paged = Paged::default();
        let keep = |paged: &mut Paged<_, _>, answer: &Arc<usize>| paged.keep(&"q", answer, |size| *size, 10);
        let kept = |paged: &Paged<_, _>, answer: &Arc<usize>| paged.find(&"q", |found| found == &**answer).is_some();
        keep(&mut paged, &small);
        keep(&mut paged, &other);
        keep(&mut paged, &small);
        assert!(kept(&paged, &small) && kept(&paged, &other));
        assert!(paged.find(&"another", |_| true).is_none());
        keep(&mut paged, &large);
        assert!(kept(&paged, &small) && kept(&paged, &large) && !kept(&paged, &other));
        keep(&mut paged, &huge);
        assert!(kept(&paged, &huge) && !kept(&paged, &large));
    }
}
