//! The body of an answer over HTTP/2, in pieces. Hyper passes a whole piece on as soon as the client takes one byte of it,
//! and then the stream has ended for hyper. So the time limit of a stream holds only as long as it has pieces to send.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The largest piece, in bytes: the usual size of a frame.
const PIECE: usize = 16 << 10;

/// A body in pieces.
#[derive(Debug)]
pub(super) struct Pieces<B> {
    body: B,
    /// What is not passed on yet.
    rest: Bytes,
}

impl<B> Pieces<B> {
    pub(super) fn of(body: B) -> Self {
        Self { body, rest: Bytes::new() }
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        let length = self.rest.len().min(PIECE);
        (length > 0).then(|| Frame::data(self.rest.split_to(length)))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            if let Some(piece) = self.next() {
                return Poll::Ready(Some(Ok(piece)));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => self.rest = data,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(body.lower() + rest);
        hint
    }
}
