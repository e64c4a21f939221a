//! Lines on standard output and standard error. Unlike those of `println!`, they do not end the
//! process if nobody reads them any more, as in `analytics-jobs verify | head`: the job does its work.

use std::fmt::Arguments;
use std::io;

/// Writes a line on standard output. Takes the arguments of [`format!`].
#[macro_export]
macro_rules! say {
    ($($arguments:tt)*) => { $crate::output::line(std::io::stdout(), format_args!($($arguments)*)) };
}

/// Writes a line on standard error: progress, and what is not a result. Takes the arguments of
/// [`format!`].
#[macro_export]
macro_rules! remark {
    ($($arguments:tt)*) => { $crate::output::line(std::io::stderr(), format_args!($($arguments)*)) };
}

/// Writes a line, in one piece. Called by [`say!`](crate::say) and [`remark!`](crate::remark).
pub fn line(mut to: impl io::Write, line: Arguments<'_>) {
    // Nothing can be reported about an output that cannot be written.
    let _is_written = to.write_all(format!("{line}\n").as_bytes());
}
