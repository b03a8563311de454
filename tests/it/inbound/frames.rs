//! An HTTP/2 client at the level of frames, for what a client that keeps to the rules never sends.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// Reasons of `RST_STREAM` and `GOAWAY`.
pub(super) const NO_ERROR: u32 = 0;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The number at this place of the payload.
    pub(super) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// Why a stream was reset, or the connection is closed.
    pub(super) fn reason(&self) -> u32 {
        self.number(if self.kind == GOAWAY { 4 } else { 0 })
    }
}

/// The bytes of a frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A setting of the client.
pub(super) fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

fn literal(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text");
    [&[length], text.as_bytes()].concat()
}

/// A header block without compression. `more` holds further headers, which are not checked.
pub(super) fn head(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // `:method: GET` and `:scheme: http` have these indices; `:path` and `:authority` have 4 and 1 as names.
    let mut block = vec![0x82, 0x86, 4];
    block.extend(literal(path));
    block.push(1);
    block.extend(literal("gateway"));
    for (name, value) in more {
        block.push(0);
        block.extend(literal(name));
        block.extend(literal(value));
    }
    block
}

/// The frame of a request without a body.
pub(super) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(path, &[]))
}

/// A connection. It answers neither settings nor pings.
pub(super) struct Frames(TcpStream);

impl Frames {
    /// Connects, and sends the preface with these settings.
    pub(super) async fn connect(address: SocketAddr, settings: &[u8]) -> Self {
        let mut client = Self::of(TcpStream::connect(address).await.expect("a connection"));
        client.begin(settings).await;
        client
    }

    /// A connection over which nothing is sent yet.
    pub(super) fn of(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// Sends the preface with these settings.
    pub(super) async fn begin(&mut self, settings: &[u8]) {
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        self.send(frame(SETTINGS, 0, 0, settings)).await;
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("it is sent");
    }

    /// Sends bytes that the gateway may not read to their end, because it closes the connection. Returns whether they were all
    /// taken, by the gateway or by the buffers of the system.
    pub(super) async fn flood(&mut self, bytes: Vec<u8>) -> bool {
        timeout(PATIENCE, self.0.write_all(&bytes)).await.expect("the gateway reads or closes").is_ok()
    }

    /// The next frame. `None` at the end of the connection.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.read()).await.expect("a frame, or the end of the connection")
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]).try_into().expect("a length")];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
        Some(Frame { kind: head[3], stream, payload })
    }

    /// The next frame of a kind. Others are passed over. `None` at the end of the connection.
    pub(super) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Asserts that the gateway closes the connection, with a GOAWAY for this reason before.
    pub(super) async fn assert_leaves(&mut self, reason: u32) {
        let goaway = self.next_of(GOAWAY).await.expect("a GOAWAY");
        assert_eq!(goaway.reason(), reason);
        while self.next().await.is_some() {}
    }
}
