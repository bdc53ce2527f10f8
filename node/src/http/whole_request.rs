//! One deadline for a whole request: its head, and a body that a client sends slowly or never.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{Method, Version};
use actix_web::web::Bytes;
use futures::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Longest a request may take to arrive, head and body together: a login form or a callback is one packet, and a client
/// that trickles holds a connection for nothing.
pub const ARRIVES_WITHIN: Duration = Duration::from_secs(15);

/// Of that the head, which the HTTP library waits for. The rest is the body's.
pub const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// A body that is still on its way when the answer is made.
pub struct Rest(Rc<RefCell<Body>>);

struct Body {
    payload: Payload,
    deadline: Pin<Box<Sleep>>,
    ended: bool,
}

/// What a handler reads the body by.
struct Reading(Rc<RefCell<Body>>);

/// An answer that keeps what is left of its request's body: the library closes the connection after such an answer. If
/// the body were given up before, it would wait for the end of a chunked one, and that without a deadline.
struct Answer {
    body: BoxBody,
    _rest: Rest,
}

/// Puts the deadline on a request's body. None without a body, so that a check costs nothing.
pub fn limit(request: &mut ServiceRequest) -> Option<Rest> {
    if !has_body(request) {
        return None;
    }
    let deadline = Box::pin(sleep_until(Instant::now() + (ARRIVES_WITHIN - HEAD_WITHIN)));
    let body = Rc::new(RefCell::new(Body { payload: request.take_payload(), deadline, ended: false }));
    let reading: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(Reading(Rc::clone(&body)));
    request.set_payload(Payload::Stream { payload: reading });
    Some(Rest(body))
}

fn has_body(request: &ServiceRequest) -> bool {
    let head = request.head();
    if head.version == Version::HTTP_2 {
        // Every request of HTTP/2 has a stream for one; here only forms are read from it.
        return !matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    }
    request.chunked().unwrap_or(false) || head.headers().contains_key("content-length")
}

/// The answer, which closes the connection if there is a body that has not come to its end.
pub fn answered(rest: Option<Rest>, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    match rest {
        Some(rest) if !rest.0.borrow().ended => response.map_body(|_, body| BoxBody::new(Answer { body, _rest: rest })),
        Some(_) | None => response,
    }
}

impl Stream for Reading {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = &mut *self.0.borrow_mut();
        // The deadline first: a client that sends a byte now and then must not outlive it.
        if body.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))));
        }
        let part = ready!(Pin::new(&mut body.payload).poll_next(context));
        body.ended |= part.is_none();
        Poll::Ready(part)
    }
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        match self.body.size() {
            // The library looks at nothing of an answer that it takes for none.
            BodySize::None => BodySize::Sized(0),
            size @ (BodySize::Sized(_) | BodySize::Stream) => size,
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
