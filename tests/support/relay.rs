//! A TCP relay that can be cut or redirected to another port. Existing connections then stop, and
//! new ones get nothing or go to the new port.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Relay {
    pub port: u16,
    line: Arc<watch::Sender<Line>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Line {
    cut: bool,
    to: u16,
}

impl Relay {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let line = Arc::new(watch::Sender::new(Line { cut: false, to: port }));
        let state = line.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut line = state.subscribe();
                tokio::spawn(async move {
                    let began = *line.borrow();
                    // The connection is accepted but not served, as behind some firewalls.
                    if began.cut {
                        let _ = line.wait_for(|line| !line.cut).await;
                        return;
                    }
                    let far = SocketAddr::from(([127, 0, 0, 1], began.to));
                    let Ok(mut far) = TcpStream::connect(far).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = line.wait_for(|line| *line != began) => {}
                    }
                });
            }
        });
        Self { port: own, line }
    }

    pub fn cut(&self) {
        self.line.send_modify(|line| line.cut = true);
    }

    pub fn mend(&self) {
        self.line.send_modify(|line| line.cut = false);
    }

    pub fn lead_to(&self, port: u16) {
        self.line.send_modify(|line| line.to = port);
    }
}
