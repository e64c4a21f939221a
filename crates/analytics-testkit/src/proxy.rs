//! A TCP proxy that injects network faults: delays, cut connections, or silently dropped bytes.
//!
//! In front of PostgreSQL it recognises the message with a COMMIT. It can forward the message and
//! cut the connection when the answer arrives, or cut the connection without forwarding the
//! message.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The faults to inject, shared by all connections.
#[derive(Default)]
struct Orders {
    /// Delay of every byte in each direction, in milliseconds.
    late: AtomicU64,
    /// Number of answers to COMMIT that are still to be lost.
    lose_answers: AtomicU32,
    /// Number of COMMITs that are still to be lost.
    lose_commits: AtomicU32,
    /// Whether bytes are silently dropped in both directions.
    swallow: AtomicBool,
    /// Number of connections that were cut.
    cuts: AtomicU32,
    closed: AtomicBool,
}

/// A proxy in front of one server.
pub struct Proxy {
    orders: Arc<Orders>,
    port: u16,
}

/// The two streams of a connection, shared by the threads of both directions.
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// Whether the next answer of the server is to be lost.
    drop_answer: AtomicBool,
}

impl Proxy {
    /// Starts a proxy on this port (0 for any free one) in front of `target`.
    ///
    /// # Panics
    /// If the port is in use.
    #[must_use]
    pub fn start(port: u16, target: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port for the proxy");
        let port = listener.local_addr().expect("its own address").port();
        let orders = Arc::new(Orders::default());
        let (shared, target) = (Arc::clone(&orders), target.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.closed.load(Ordering::Relaxed) {
                    break;
                }
                // If the server refuses the connection, the proxy closes the client's.
                let Ok(server) = TcpStream::connect(&target) else { continue };
                connect(client, server, &shared);
            }
        });
        Self { orders, port }
    }

    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends all faults.
    pub fn behave(&self) {
        self.delay(Duration::ZERO);
        self.lose_answers(0);
        self.lose_commits(0);
        self.swallow(false);
    }

    /// Delays every byte by `late`, in each direction.
    pub fn delay(&self, late: Duration) {
        self.orders.late.store(u64::try_from(late.as_millis()).expect("a short time"), Ordering::Relaxed);
    }

    /// Cuts the connection at the answer to each of the next `commits` COMMITs.
    pub fn lose_answers(&self, commits: u32) {
        self.orders.lose_answers.store(commits, Ordering::Relaxed);
    }

    /// Cuts the connection at each of the next `commits` COMMITs, which the server does not
    /// receive.
    pub fn lose_commits(&self, commits: u32) {
        self.orders.lose_commits.store(commits, Ordering::Relaxed);
    }

    /// Starts or stops dropping every byte. Dropped bytes are not delivered later.
    pub fn swallow(&self, on: bool) {
        self.orders.swallow.store(on, Ordering::Relaxed);
    }

    /// Returns the number of connections that were cut.
    #[must_use]
    pub fn cuts(&self) -> u32 {
        self.orders.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders.closed.store(true, Ordering::Relaxed);
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn connect(client: TcpStream, server: TcpStream, orders: &Arc<Orders>) {
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a TCP connection");
    }
    let link = Arc::new(Link { client, server, drop_answer: AtomicBool::new(false) });
    for to_server in [true, false] {
        let (link, orders) = (Arc::clone(&link), Arc::clone(orders));
        let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
        let (writing, late) = (Arc::clone(&link), Arc::clone(&orders));
        thread::spawn(move || {
            read(&link, to_server, &orders, &sender);
        });
        thread::spawn(move || {
            for (read_at, bytes) in receiver {
                let due = read_at + Duration::from_millis(late.late.load(Ordering::Relaxed));
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let mut target = if to_server { &writing.server } else { &writing.client };
                if target.write_all(&bytes).is_err() {
                    break;
                }
            }
            writing.cut();
        });
    }
}

/// Reads one direction of a connection until it ends or is cut.
fn read(link: &Link, to_server: bool, orders: &Orders, sender: &mpsc::Sender<(Instant, Vec<u8>)>) {
    let mut source = if to_server { &link.client } else { &link.server };
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = source.read(&mut buffer) {
        let bytes = &buffer[..length];
        if orders.swallow.load(Ordering::Relaxed) {
            continue;
        }
        if to_server && asks_for_commit(bytes) {
            if take(&orders.lose_commits) {
                orders.cuts.fetch_add(1, Ordering::Relaxed);
                return link.cut();
            }
            link.drop_answer.store(take(&orders.lose_answers), Ordering::Relaxed);
        } else if !to_server && link.drop_answer.swap(false, Ordering::Relaxed) {
            orders.cuts.fetch_add(1, Ordering::Relaxed);
            return link.cut();
        }
        if sender.send((Instant::now(), bytes.to_vec())).is_err() {
            break;
        }
    }
}

impl Link {
    fn cut(&self) {
        let _gone = self.client.shutdown(Shutdown::Both);
        let _gone = self.server.shutdown(Shutdown::Both);
    }
}

/// Whether these bytes are PostgreSQL's simple query COMMIT. A client waits for the answer to one
/// statement before it sends the next, so a read returns this message alone.
fn asks_for_commit(bytes: &[u8]) -> bool {
    bytes == b"Q\0\0\0\x0bCOMMIT\0"
}

/// Decrements a counter that is not 0; returns whether it did.
fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}
