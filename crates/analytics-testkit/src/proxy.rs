//! A TCP proxy that makes a network bad: slow, cut at the worst moment, or a black hole.
//!
//! In front of PostgreSQL it can find the message that asks for COMMIT, let it through, and cut
//! the connection when the answer comes; or cut it before the message goes through.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// What is to happen, shared by all connections.
#[derive(Default)]
struct Orders {
    /// How late every byte comes, each way, in milliseconds.
    late: AtomicU64,
    /// So many answers to COMMIT are to get lost.
    lose_answers: AtomicU32,
    /// So many COMMITs are to get lost.
    lose_commits: AtomicU32,
    /// Whether bytes are swallowed, each way, and nobody is told.
    swallow: AtomicBool,
    /// How many cuts there were.
    cuts: AtomicU32,
    closed: AtomicBool,
}

/// A proxy in front of one server.
pub struct Proxy {
    orders: Arc<Orders>,
    port: u16,
}

/// What the client's half of a connection tells the server's half.
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// The answer that comes next is not to arrive.
    drop_answer: AtomicBool,
}

impl Proxy {
    /// A proxy at this port (0 is any) in front of `target`.
    ///
    /// # Panics
    /// Where the port is taken.
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
                // A server that is away refuses; so does the proxy.
                let Ok(server) = TcpStream::connect(&target) else { continue };
                connect(client, server, &shared);
            }
        });
        Self { orders, port }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing is bad.
    pub fn behave(&self) {
        self.delay(Duration::ZERO);
        self.lose_answers(0);
        self.lose_commits(0);
        self.swallow(false);
    }

    /// From now on every byte comes so late, each way.
    pub fn delay(&self, late: Duration) {
        self.orders.late.store(u64::try_from(late.as_millis()).expect("a short time"), Ordering::Relaxed);
    }

    /// Cuts the connections whose answers to the next so many COMMITs arrive.
    pub fn lose_answers(&self, commits: u32) {
        self.orders.lose_answers.store(commits, Ordering::Relaxed);
    }

    /// Cuts the connections on which the next so many COMMITs are asked for.
    pub fn lose_commits(&self, commits: u32) {
        self.orders.lose_commits.store(commits, Ordering::Relaxed);
    }

    /// From now on no byte arrives, or they do again; what was swallowed is gone.
    pub fn swallow(&self, on: bool) {
        self.orders.swallow.store(on, Ordering::Relaxed);
    }

    /// How many connections were cut.
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

/// Whether these bytes are PostgreSQL's simple query COMMIT. A client waits for the answer to
/// one statement before it sends the next, so the message comes alone.
fn asks_for_commit(bytes: &[u8]) -> bool {
    bytes == b"Q\0\0\0\x0bCOMMIT\0"
}

/// Takes one of what is left to do.
fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}
