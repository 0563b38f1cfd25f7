//! Bodies of answers whose bytes are counted as they are sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// `body`, whose pieces are told to `count` when they are on their way, in bytes. `count` is dropped with the body, so what it
/// holds lasts until the answer was sent or given up.
pub fn counted(body: Body, count: impl FnMut(u64) + Send + Unpin + 'static) -> Body {
    Body::new(Counted { body, count })
}

struct Counted<Count> {
    body: Body,
    count: Count,
}

impl<Count: FnMut(u64) + Unpin> HttpBody for Counted<Count> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            (self.count)(bytes.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
