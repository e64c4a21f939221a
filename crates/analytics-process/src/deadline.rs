//! A time limit for work that may never return, such as a call that waits for a server which does
//! not answer.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs `work` on a new thread, and returns its result if it is ready in time. Otherwise returns
/// `None` and abandons the thread with everything it holds; a later result is dropped. Also returns
/// `None` if no thread can be started.
pub fn within<T: Send + 'static>(at_most: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, wait) = mpsc::channel();
    let worker = thread::Builder::new().name("deadline".into()).spawn(move || {
        let _gone = done.send(work());
    });
    worker.ok()?;
    wait.recv_timeout(at_most).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_takes_too_long_is_abandoned() {
        assert_eq!(within(Duration::from_secs(60), || 1), Some(1));
        let (end, wait) = mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(10), move || wait.recv().is_ok()), None);
        drop(end);
    }
}
