//! Reads a list of customers from the body of a request, line by line, so that its length does not matter.

use std::{collections::VecDeque, time::Duration};

use axum::body::Body;
use bytes::BytesMut;
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::switch::{
    files::listed_in,
    service::{Listed, ListedCustomer, Refused, RefusedKind},
};

/// The longest line, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// The customers of a body of NDJSON. A wrong line is an error of its own, and the lines after it are read. `patience` is
/// how long the next piece may take. After a body that ended too early or has trailers, the last item is an error.
pub(super) fn customers(body: Body, patience: Duration) -> Listed {
    let lines = Lines { body, patience, buffer: BytesMut::new(), found: VecDeque::new(), line: 0, ended: false };
    Box::pin(stream::unfold(lines, |mut lines| async move { Some((lines.next().await?, lines)) }))
}

type Item = Result<ListedCustomer, Refused>;

struct Lines {
    body: Body,
    patience: Duration,
    buffer: BytesMut,
    found: VecDeque<Item>,
    line: u64,
    ended: bool,
}

impl Lines {
    async fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.found.pop_front() {
                return Some(item);
            }
            if self.ended {
                return None;
            }
            match timeout(self.patience, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    let Some(piece) = frame.data_ref() else {
                        self.end("trailers follow the list; leave them out".to_owned());
                        continue;
                    };
                    self.buffer.extend_from_slice(piece);
                    while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                        let line = self.buffer.split_to(end + 1);
                        self.read(&line);
                    }
                    if self.buffer.len() > LONGEST_LINE {
                        self.end(format!("line {} is longer than {LONGEST_LINE} bytes", self.line + 1));
                    }
                }
                Ok(None) => {
                    self.ended = true;
                    let rest = std::mem::take(&mut self.buffer);
                    self.read(&rest);
                }
                Ok(Some(Err(_))) => {
                    self.end(format!("the list ended in line {}, before it was complete", self.line + 1));
                }
                Err(_) => self.end(format!("the list stopped arriving in line {}", self.line + 1)),
            }
        }
    }

    fn read(&mut self, line: &[u8]) {
        self.line += 1;
        let wrong = |what: &str| Refused::new(RefusedKind::Invalid, format!("line {}: {what}", self.line));
        let listed = listed_in(line).map(|id| id.map(|id| ListedCustomer { id }).map_err(wrong));
        self.found.extend(listed);
    }

    fn end(&mut self, what: String) {
        self.ended = true;
        self.found.push_back(Err(Refused::new(RefusedKind::Invalid, what)));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::StreamExt;
    use http::HeaderMap;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    /// R24: one bad row never ends the reading of a file.
    #[tokio::test]
    async fn a_wrong_line_does_not_end_the_list_and_pieces_may_end_anywhere() {
        let text =
            "{\"id\":\"a\",\"name\":\"Awa\"}\n\n[1]\n{\"name\":\"x\"}\n{\"id\":\"a\\u0000\"}\nnot JSON\n{\"id\":\"b\"}";
        for size in [1, 7, 1000] {
            let pieces: Vec<Result<Vec<u8>, Infallible>> =
                text.as_bytes().chunks(size).map(|part| Ok(part.to_vec())).collect();
            let body = Body::from_stream(stream::iter(pieces));
            let items: Vec<Item> = customers(body, Duration::from_mins(1)).collect().await;
            let shown: Vec<String> = items
                .into_iter()
                .map(|item| item.map_or_else(|refused| refused.detail, |customer| customer.id))
                .collect();
            let expected = [
                "a",
                "line 3: it is not a JSON object",
                "line 4: it has no `id` that is a text",
                "line 5: its `id` contains U+0000, which not every database can store",
                "line 6: it is not JSON",
                "b",
            ];
            assert_eq!(shown, expected);
        }
    }

    #[tokio::test]
    async fn a_list_that_ends_too_early_ends_with_an_error() {
        let pieces = [Ok("{\"id\":\"a\"}\n{\"id\":"), Err("broken")];
        let items: Vec<Item> =
            customers(Body::from_stream(stream::iter(pieces)), Duration::from_mins(1)).collect().await;
        assert!(items[0].is_ok());
        assert_eq!(
            items[1].as_ref().map_err(|refused| refused.detail.as_str()).err(),
            Some("the list ended in line 2, before it was complete")
        );
        assert_eq!(items.len(), 2);
    }

    #[tokio::test]
    async fn a_list_with_trailers_ends_with_an_error() {
        let frames = [Frame::data(Bytes::from_static(b"{\"id\":\"a\"}\n")), Frame::trailers(HeaderMap::new())];
        let body = Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>))));
        let items: Vec<Item> = customers(body, Duration::from_mins(1)).collect().await;
        assert_eq!(items.len(), 2);
        assert!(items[0].is_ok());
        let refused = items[1].as_ref().expect_err("the trailers are refused");
        assert_eq!(refused.detail, "trailers follow the list; leave them out");
    }
}
