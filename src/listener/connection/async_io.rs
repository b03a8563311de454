//! What hyper reads and writes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{Connection, LINGER};

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(self.poll_early_refusal(context))?;
            if self.unread.is_empty() {
                if Pin::new(&mut self.stream).poll_read(context, buffer)?.is_pending() {
                    self.keep_place();
                    return self.poll_head_ends(context, true).map(Err);
                }
            } else {
                let length = self.unread.len().min(buffer.remaining());
                buffer.put_slice(&self.unread.split_to(length));
            }
            let read = &buffer.filled()[before..];
            if read.is_empty() || !self.refuse_early(read) {
                self.received(read);
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(refused) = ready!(self.poll_refusal(context, bytes)) {
            return Poll::Ready(refused.map(|()| bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_early_refusal(context))?;
        ready!(self.poll_flush_stream(context))?;
        // After an answer, hyper flushes but need not read.
        match self.poll_head_ends(context, false) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ends = if let Some(ends) = self.linger_ends {
            ends
        } else {
            self.admitted.progress().end();
            ready!(self.poll_early_refusal(context))?;
            let closed = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.limited(context, closed))?;
            if self.http1.is_none() || !self.admitted.progress().has_failed() {
                return Poll::Ready(Ok(()));
            }
            self.head_ends = None;
            *self.linger_ends.insert(Instant::now() + LINGER)
        };
        self.poll_linger(context, ends).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.first().map_or(&[][..], |slice| slice);
        if let Some(refused) = ready!(self.poll_refusal(context, first)) {
            return Poll::Ready(refused.map(|()| slices.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.sent(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
