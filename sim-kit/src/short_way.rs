//! The short way of a request to an answer that is at hand.
//!
//! Clients of an index ask for the same few files over and over, in the same words. For an answer of a few kilobytes that is kept
//! ([`Simulator::at_hand`](crate::host::Simulator::at_hand)) the way through an HTTP library, a router and its services is most of the
//! work. So a connection begins here: a head is read, the answer looked for and written. One that could be kept but is not yet is
//! made as always and sent from here, too. Any other request takes the connection to the whole server for good, with what has come
//! of it and with its answer, if there is one. All are journalled alike.

use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::{Buf, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::at_hand::{Answer, Asked, Ready, Repeatable};
use crate::connections::Connection;
use crate::host::Instance;
use crate::journal::put;
use crate::observe::{Asker, CutConnection, date, note};
use crate::sendfile::Stream;

/// How a connection goes on.
pub(crate) enum Next {
    /// It has ended: by the client, because the server stops, or because nothing came for too long.
    End,
    /// These bytes of a request have been read, and its answer may have been made.
    Whole(Bytes, Option<Response>),
}

/// Headers that say where a request or a connection ends, or that more is meant by it than an answer.
const FRAMING: [&str; 7] =
    ["connection", "content-length", "transfer-encoding", "upgrade", "expect", "te", "http2-settings"];

/// Answers requests on `stream` as long as they are for the short way. A client may let `patience` pass before a request.
///
/// # Errors
/// Of the connection.
pub(crate) async fn answer(
    stream: &mut Stream,
    connection: &Connection,
    stopping: &CancellationToken,
    patience: Duration,
) -> io::Result<Next> {
    if !connection.shared.instance().has_answers_at_hand() {
        return Ok(Next::Whole(Bytes::new(), None));
    }
    let mut came = BytesMut::new();
    let mut head = Vec::new();
    let mut stopped = pin!(stopping.cancelled());
    // Set anew only when it is due, and not with every request.
    let mut impatient = pin!(tokio::time::sleep(patience));
    let mut last = Instant::now();
    loop {
        if came.is_empty() {
            came.reserve(4096);
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(Next::End),
                read = stream.read_buf(&mut came) => if read? == 0 { return Ok(Next::End) },
                () = &mut impatient => {
                    let due = last + patience;
                    if due <= Instant::now() {
                        return Ok(Next::End);
                    }
                    impatient.as_mut().reset(due.into());
                    continue;
                }
            }
        }
        last = Instant::now();
        let mut headers = [const { MaybeUninit::uninit() }; 32];
        let Some((length, request)) = plain_get(&came, &mut headers) else {
            return Ok(Next::Whole(came.freeze(), None));
        };
        let instance = connection.shared.instance();
        let ready = match look(&instance, &request, last, &mut head) {
            Some(ready) => ready,
            None => {
                let Some(request) = whole(&request) else { return Ok(Next::Whole(came.freeze(), None)) };
                let response = tokio::select! {
                    biased;
                    response = connection.respond(request) => response,
                    () = stream.gone() => return Ok(Next::End),
                };
                if response.extensions().get::<CutConnection>().is_some() {
                    return Ok(Next::End);
                }
                match made(response).await {
                    Ok(ready) => {
                        begin(&ready.answer, &instance, &mut head);
                        ready
                    }
                    Err(response) => return Ok(Next::Whole(came.freeze(), Some(response))),
                }
            }
        };
        came.advance(length);
        let mut all = Buf::chain(&head[..], &ready.answer.body()[..]);
        let sent = stream.write_all_buf(&mut all).await;
        if let Some(mut count) = ready.count {
            count((ready.answer.body().len() - all.last_ref().len()) as u64);
        }
        sent?;
    }
}

/// The GET request at the beginning of `came`, and how long it is; none if it is no such, is not all there, or says more than where
/// it ends.
fn plain_get<'h, 'b>(
    came: &'b [u8],
    headers: &'h mut [MaybeUninit<httparse::Header<'b>>],
) -> Option<(usize, httparse::Request<'h, 'b>)> {
    let mut request = httparse::Request::new(&mut []);
    let httparse::Status::Complete(length) = request.parse_with_uninit_headers(came, headers).ok()? else {
        return None;
    };
    let is_framed = request.headers.iter().any(|header| {
        FRAMING.iter().any(|name| name.eq_ignore_ascii_case(header.name))
            && !(header.name.eq_ignore_ascii_case("connection") && header.value.eq_ignore_ascii_case(b"keep-alive"))
    });
    let is_plain = request.method == Some("GET") && request.version == Some(1) && !is_framed;
    (is_plain && request.path?.starts_with('/')).then_some((length, request))
}

/// The answer to `request`, if it is at hand, with its head in `head`. Journals it.
fn look(
    instance: &Instance,
    request: &httparse::Request<'_, '_>,
    started: Instant,
    head: &mut Vec<u8>,
) -> Option<Ready> {
    // Where there are rules, it takes one who knows them.
    if instance.world.faults().any() {
        return None;
    }
    let headers = request.headers.iter().map(|header| (header.name, header.value));
    let asked = Asked::new(request.path?, headers)?;
    let ready = instance.at_hand(&asked)?;
    let now = begin(&ready.answer, instance, head);
    let asker = Asker { started, method: "GET", address: asked.address(), agent: asked.agent() };
    note(&instance.world, now, &asker, |entry| {
        entry.status = Some(StatusCode::OK.as_u16());
        put(&mut entry.route, ready.answer.route());
    });
    Some(ready)
}

/// Writes the head of an answer, and says of which moment it is.
fn begin(answer: &Answer, instance: &Instance, head: &mut Vec<u8>) -> DateTime<Utc> {
    let now = instance.world.clock().now();
    head.clear();
    for part in [answer.head(), date(now).as_bytes(), b"\r\n\r\n"] {
        head.extend_from_slice(part);
    }
    now
}

/// The request for the whole server; none if it is none that the short way understands.
fn whole(request: &httparse::Request<'_, '_>) -> Option<Request> {
    let mut builder = Request::get(request.path?);
    for header in request.headers.iter() {
        builder = builder.header(header.name, header.value);
    }
    builder.body(Body::empty()).ok()
}

/// A response that was made, as an answer to be sent from here; or as it was, if not all of it is in memory.
async fn made(response: Response) -> Result<Ready, Response> {
    let Some(Repeatable(body)) = response.extensions().get().cloned() else { return Err(response) };
    let Some(answer) = Answer::of(&response, body) else { return Err(response) };
    // Who counts the bytes sees them go.
    let _ = axum::body::to_bytes(response.into_body(), usize::MAX).await;
    Ok(Ready { answer: Arc::new(answer), count: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(bytes: &[u8]) -> Option<usize> {
        let mut headers = [const { MaybeUninit::uninit() }; 32];
        let (length, request) = plain_get(bytes, &mut headers)?;
        whole(&request).map(|_| length)
    }

    #[test]
    fn only_plain_requests_take_the_short_way() {
        let plain = b"GET /a?b HTTP/1.1\r\nhost: x\r\nConnection: Keep-Alive\r\n\r\n";
        assert_eq!(taken(plain), Some(plain.len()));
        assert_eq!(taken(&[plain, &b"GET /next"[..]].concat()), Some(plain.len()), "what follows is not part of it");
        for other in [
            "GET /a HTTP/1.1\r\nhost: x\r\n",
            "HEAD /a HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET /a HTTP/1.0\r\nhost: x\r\n\r\n",
            "GET http://x/a HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: x\r\nConnection: close\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: x\r\nContent-Length: 1\r\n\r\nx",
            "GET /a HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: x\r\nExpect: 100-continue\r\n\r\n",
            "GET /a HTTP/1.1\r\nbad header: x\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert_eq!(taken(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_left(bytes in proptest::collection::vec(any::<u8>(), 0..200), tail in "[ -~\r\n]{0,100}") {
            let _ = taken(&bytes);
            let _ = taken(format!("GET /{tail}\r\n\r\n").as_bytes());
        }
    }
}
