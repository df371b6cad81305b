//! Content on its way out, to an agent or a target.

use std::pin::Pin;
use std::task::{Context, Poll};

use bailiwick_wire::http::bhttp::Fields;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

use super::head;

/// Content on its way out.
pub(crate) enum Body {
    /// All of it.
    Whole(Bytes),
    /// As it comes; the channel bounds what waits.
    Streamed(mpsc::Receiver<Piece>),
}

/// A piece of streamed content.
pub(crate) enum Piece {
    /// At least one byte.
    Content(Bytes),
    /// Its end, with its trailer fields. Content that stops without was cut.
    End(Fields),
}

/// The content stops in the middle, and whoever reads it must see that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cut by the gateway")]
pub(crate) struct Cut;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let piece = match &mut *self {
            Body::Whole(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Body::Whole(bytes) => Some(Piece::Content(std::mem::take(bytes))),
            Body::Streamed(pieces) => std::task::ready!(pieces.poll_recv(context)),
        };
        let frame = match piece {
            Some(Piece::Content(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End(trailers)) => {
                *self = Body::Whole(Bytes::new());
                let trailers = head::fields(&trailers).map_err(|_| Cut);
                match trailers {
                    Ok(trailers) if trailers.is_empty() => None,
                    trailers => Some(trailers.map(Frame::trailers)),
                }
            }
            None => Some(Err(Cut)),
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Streamed(_) => SizeHint::default(),
        }
    }
}
