//! The least a server can do around one verification and one signature, on one thread: the crypto of row 5's
//! peer plus a socket. It checks nothing else, stores nothing and answers one kind of request.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::tokens::b64;

struct Keys {
    issuer: ParsedPublicKey,
    own: KeyPair,
    rng: SystemRandom,
}

/// Serves until it is stopped. `point` is the issuer's public key, base64url.
pub(crate) fn run(listen: &str, point: &str) -> ! {
    let point = URL_SAFE_NO_PAD.decode(point).unwrap();
    let keys: &'static Keys = Box::leak(Box::new(Keys {
        issuer: ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, &point).unwrap(),
        own: KeyPair::generate(KeySize::Rsa2048).unwrap(),
        rng: SystemRandom::new(),
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(serve(stream, keys));
        }
    })
}

async fn serve(mut stream: TcpStream, keys: &'static Keys) -> Option<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        buffer.clear();
        let end = loop {
            stream.read_buf(&mut buffer).await.ok().filter(|n| *n > 0)?;
            if let Some(end) = whole(&buffer) {
                break end;
            }
        };
        let token = std::str::from_utf8(&buffer[..end]).ok()?.rsplit_once("subject_token=")?.1;
        stream.write_all(&exchanged(token, keys)?).await.ok()?;
    }
}

/// Where the request ends, once all of it is there.
fn whole(buffer: &[u8]) -> Option<usize> {
    let head = memchr::memmem::find(buffer, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    let (_, length) = text.split_once("Content-Length: ")?;
    let end = head + length.lines().next()?.parse::<usize>().ok()?;
    (buffer.len() >= end).then_some(end)
}

fn exchanged(token: &str, keys: &Keys) -> Option<Vec<u8>> {
    let (input, given) = token.rsplit_once('.')?;
    keys.issuer.verify_sig(input.as_bytes(), &URL_SAFE_NO_PAD.decode(given).ok()?).ok()?;
    let mut new = vec![0; keys.own.public_modulus_len()];
    keys.own.sign(&signature::RSA_PKCS1_SHA256, &keys.rng, input.as_bytes(), &mut new).ok()?;
    let body = format!(r#"{{"access_token":"{input}.{}","token_type":"Bearer"}}"#, b64(new));
    let length = body.len();
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes())
}
