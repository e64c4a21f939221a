//! The memory of large buffers, which librdkafka and others allocate with `malloc`.

/// From this size on, a buffer's memory is the system's again once it is freed.
const LARGE: i32 = 4 << 20;

/// Has large buffers returned to the system when they are freed.
///
/// By itself, glibc raises the size from which it does so, up to 32 MiB, whenever a larger buffer is freed. Then the buffers of
/// fetched records, of batches and of statements stay in the heaps of the threads that used them: 230 to 250 MiB
/// instead of 200, while a backlog of a month is counted, at the same speed.
pub fn return_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: this changes a number that the allocator reads, which is allowed at any time and on any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
