//! A client that sends exactly the bytes it is given.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends `bytes` and returns everything received until the server closes the connection, or is
/// silent for a while after its answer.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let patience = if answer.is_empty() { 20_000 } else { 500 };
        let patience = std::time::Duration::from_millis(patience);
        match tokio::time::timeout(patience, stream.read(&mut part)).await {
            Ok(Ok(n)) if n > 0 => answer.extend_from_slice(&part[..n]),
            _ => return String::from_utf8_lossy(&answer).into_owned(),
        }
    }
}

pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}
