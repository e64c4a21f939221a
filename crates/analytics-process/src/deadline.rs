//! Work that may never return: a call into a client that waits for a server that does not answer.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What `work` comes to, if it does so in time. Else it is left behind on its thread, with all that it
/// holds, and whatever comes of it is dropped. `None` also where no thread can be had.
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
    fn what_takes_too_long_is_left_behind() {
        assert_eq!(within(Duration::from_secs(60), || 1), Some(1));
        let (end, wait) = mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(10), move || wait.recv().is_ok()), None);
        drop(end);
    }
}
