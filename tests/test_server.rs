//! A small HTTP server for tests: a closure answers, and the answer may be slow, cut short or plainly wrong.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body after which the connection is cut; the length is announced all the same.
    pub cut: Option<usize>,
    pub pause: Duration,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None, pause: Duration::ZERO }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn cut_after(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    pub fn after(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }
}

/// Holds requests back until so many of them are open at the same time, and lets all pass from then on.
pub struct Gate {
    wanted: usize,
    came: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    pub fn of(wanted: usize) -> Self {
        Self { wanted, came: Mutex::new(0), changed: Condvar::new() }
    }

    /// Waits a bounded time, so that too few requests fail a test rather than hanging it.
    pub fn pass(&self) {
        let mut came = self.came.lock().unwrap();
        *came += 1;
        self.changed.notify_all();
        drop(self.changed.wait_timeout_while(came, Duration::from_secs(10), |came| *came < self.wanted).unwrap());
    }
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    open: AtomicUsize,
    most_open: AtomicUsize,
    seen: Mutex<Vec<Request>>,
}

/// A server on this machine that ends with its value.
pub struct TestServer {
    /// Without a slash at its end.
    pub url: String,
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
}

impl TestServer {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (of_thread, answer) = (Arc::clone(&shared), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if of_thread.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, answer) = (Arc::clone(&of_thread), Arc::clone(&answer));
                std::thread::spawn(move || stream.ok().and_then(|stream| serve(&stream, &shared, answer.as_ref())));
            }
        });
        Self { url: format!("http://{address}"), address, shared }
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The most requests that were open at the same time.
    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::SeqCst)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        TcpStream::connect(self.address).ok();
    }
}

/// One request on each connection.
fn serve(stream: &TcpStream, shared: &Shared, answer: &dyn Fn(&Request) -> Answer) -> Option<()> {
    let request = read(stream)?;
    shared.seen.lock().unwrap().push(request.clone());
    let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_open.fetch_max(open, Ordering::SeqCst);
    let answer = answer(&request);
    std::thread::sleep(answer.pause);
    // Before the last byte: whoever has it may already send the next request.
    shared.open.fetch_sub(1, Ordering::SeqCst);
    let mut head = format!("HTTP/1.1 {} Test\r\nConnection: close\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = stream;
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if request.method != "HEAD" {
        let end = answer.cut.unwrap_or(answer.body.len()).min(answer.body.len());
        stream.write_all(&answer.body[..end]).ok()?;
    }
    stream.flush().ok()
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut request = Request { method: words.next()?.to_owned(), path: words.next()?.to_owned(), ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => request.headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}
