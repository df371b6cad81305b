//! What happens seldom, looked at only when it has. A session looks at all that may happen each time anything
//! does, several times for a call; that its run has ended, say, need not be among it every time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Events out of a function that is polled. It is polled first, after each event, and whenever something
/// that it waits for has woken it; not when the task around it was woken by something else.
pub(crate) struct Seldom<F> {
    poll: F,
    bell: Arc<Bell>,
    waker: Waker,
}

struct Bell {
    rung: AtomicBool,
    /// Whom to tell.
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<T, F: FnMut(&mut Context<'_>) -> Poll<T> + Unpin> Seldom<F> {
    pub(crate) fn new(poll: F) -> Self {
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        Self {
            poll,
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        }
    }

    /// Waits for the next event. Cancel safe.
    pub(crate) async fn next(&mut self) -> T {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        this.bell.task.register(context.waker());
        if !this.bell.rung.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let event = (this.poll)(&mut Context::from_waker(&this.waker));
        if event.is_ready() {
            // What else it waits for may have woken it, too.
            this.bell.rung.store(true, Ordering::Relaxed);
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken_and_only_then() {
        let notify = Arc::new(Notify::new());
        let polled = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (heard, counted) = (Arc::clone(&notify), Arc::clone(&polled));
        let mut waiting = Box::pin(async move { heard.notified().await });
        let mut seldom = Seldom::new(move |context| {
            counted.fetch_add(1, Ordering::SeqCst);
            waiting.as_mut().poll(context)
        });
        for _ in 0..3 {
            assert!(seldom.next().now_or_never().is_none());
        }
        assert_eq!(polled.load(Ordering::SeqCst), 1);
        let mut next = pin!(seldom.next());
        let woken = tokio::select! {
            () = next.as_mut() => true,
            () = async {
                tokio::task::yield_now().await;
                notify.notify_waiters();
                std::future::pending::<()>().await
            } => false,
        };
        assert!(woken);
        assert_eq!(polled.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn of_two_events_at_once_none_is_lost() {
        let mut events = vec![2, 1];
        let mut seldom = Seldom::new(move |_| events.pop().map_or(Poll::Pending, Poll::Ready));
        assert_eq!((seldom.next().await, seldom.next().await), (1, 2));
        assert_eq!(seldom.next().now_or_never(), None);
    }
}
