//! A site of another origin, which embeds the panel of a seller.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

/// A tiny web server that answers every request with one page.
pub(crate) struct Portal {
    listener: TcpListener,
    /// Its origin.
    pub(crate) origin: String,
}

impl Portal {
    /// Takes a port. The page is served later, since it names the API, which in turn has to be
    /// started with this origin.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, origin }
    }

    /// Serves a page until the end of the test's process. It shows `/embed/seller` of the API at
    /// `api`. It answers its requests for a token with the given tokens, one after the other, and
    /// keeps the messages in `window.messages`.
    pub(crate) fn embed(&self, api: &str, tokens: &[&str]) {
        let page = format!(
            "<!doctype html><title>Portal</title><link rel=\"icon\" href=\"data:,\">\
             <iframe title=\"Panel\" width=\"1000\" height=\"800\" src=\"http://{api}/embed/seller?period=all\"></iframe>\
             <script>\
             window.messages = []; const tokens = {tokens:?};\
             addEventListener('message', ({{ origin, source, data }}) => {{\
               if (origin !== 'http://{api}') return;\
               messages.push(data);\
               const token = tokens.shift();\
               if (token) source.postMessage({{ type: 'analytics-token', token }}, origin);\
             }});\
             </script>"
        );
        let listener = self.listener.try_clone().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().filter_map(Result::ok) {
                // A browser opens connections that it may not use.
                let page = page.clone();
                thread::spawn(move || {
                    let head = BufReader::new(stream.try_clone().unwrap()).lines();
                    let lines = head.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
                    let length = page.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
                    );
                    if lines > 0 {
                        let _left = stream.write_all(answer.as_bytes());
                    }
                });
            }
        });
    }
}
