//! Viewers at the rate of a film, and clients that ask one question after the other; a thread for each.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::http::Url;
use super::http_load::{Head, connect, read_head};

/// A viewer reads so much at once, and then rests until its film has come that far.
const STEP_BYTES: usize = 128 * 1024;

/// What a viewer has in hand before the clock starts, as players do: their servers may send it at once.
const IN_HAND: Duration = Duration::from_secs(2);

/// Watches by each of `urls` from places evenly over the file, at `rate` bytes per second for `span`; gives what each got per
/// second.
pub(crate) fn watch(urls: &[Url], length: u64, rate: u64, span: Duration) -> Result<Vec<f64>> {
    let viewers = urls.len() as u64;
    // So that nobody comes to the end meanwhile.
    let last = length.saturating_sub(rate * (span + IN_HAND).as_secs() * 2);
    let watch = |(nth, url): (u64, &Url)| {
        let (url, first) = (url.clone(), last / viewers * nth);
        thread::spawn(move || watch_one(&url, first, rate, span))
    };
    let threads: Vec<_> = (0..).zip(urls).map(watch).collect();
    threads.into_iter().map(joined).collect()
}

fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a reader panicked"))?
}

fn watch_one(url: &Url, first: u64, rate: u64, span: Duration) -> Result<f64> {
    let mut socket = connect(url)?;
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nRange: bytes={first}-\r\n\r\n", url.path, url.host);
    socket.write_all(request.as_bytes())?;
    let (head, early) = read_head(&mut socket)?;
    Head::parse(&head)?;
    let mut got = early;
    let mut step = vec![0; STEP_BYTES];
    while got < rate * IN_HAND.as_secs() {
        got += read_step(&mut socket, &mut step)?;
    }
    let (began, before) = (Instant::now(), got);
    while began.elapsed() < span {
        got += read_step(&mut socket, &mut step)?;
        let played = Duration::from_secs_f64((got - before) as f64 / rate as f64);
        thread::sleep(played.saturating_sub(began.elapsed()));
    }
    Ok((got - before) as f64 / began.elapsed().as_secs_f64())
}

fn read_step(socket: &mut TcpStream, step: &mut [u8]) -> Result<u64> {
    socket.read_exact(step).context("the server sends nothing more")?;
    Ok(step.len() as u64)
}

/// Asks each of the questions, a URL and a header line, over a connection of its own again and again for `span`; gives how many
/// answers came.
pub(crate) fn ask_on(questions: &[(Url, String)], span: Duration) -> Result<u64> {
    let ask = |(url, header): &(Url, String)| {
        let (url, header) = (url.clone(), header.clone());
        thread::spawn(move || ask_one(&url, &header, span))
    };
    let threads: Vec<_> = questions.iter().map(ask).collect();
    threads.into_iter().map(joined).sum()
}

fn ask_one(url: &Url, header: &str, span: Duration) -> Result<u64> {
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n{header}\r\n\r\n", url.path, url.host);
    let mut socket = connect(url)?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < span {
        socket.write_all(request.as_bytes())?;
        let (head, early) = read_head(&mut socket)?;
        let head = Head::parse(&head)?;
        let mut rest = vec![0; head.length.saturating_sub(early) as usize];
        socket.read_exact(&mut rest).context("an answer that ends too soon")?;
        count += 1;
        if !head.keeps {
            socket = connect(url)?;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Answers every request with so many bytes.
    fn server(length: usize) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap();
        let answer = move |mut socket: TcpStream| {
            let mut request = [0; 1000];
            while socket.read(&mut request).is_ok_and(|count| count > 0) {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                if socket.write_all(&[head.as_bytes(), &vec![0; length]].concat()).is_err() {
                    return;
                }
            }
        };
        thread::spawn(move || {
            listener.incoming().flatten().for_each(|socket| {
                thread::spawn(move || answer(socket));
            })
        });
        Url { host, path: "/".to_owned() }
    }

    #[test]
    fn each_viewer_has_its_own_rate() {
        let urls = [server(64 << 20), server(64 << 20)];
        let rates = watch(&urls, 64 << 20, 4 << 20, Duration::from_millis(300)).unwrap();
        assert!(rates.len() == 2 && rates.iter().all(|&got| got > 0.0), "{rates:?}");
    }

    #[test]
    fn a_viewer_whose_film_ends_too_soon_fails() {
        assert!(watch(&[server(1 << 20)], 1 << 20, 1 << 20, Duration::from_secs(5)).is_err());
    }

    #[test]
    fn answers_are_counted() {
        let questions = vec![(server(300), "X-Who: me".to_owned()); 2];
        assert!(ask_on(&questions, Duration::from_millis(50)).unwrap() >= 2);
    }
}
