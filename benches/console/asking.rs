//! Asks for pages in turn, and says how long that took.

use std::time::{Duration, Instant};

use bailiwick_tests::World;

use crate::pages::Page;
use crate::peer::{Control, Peer};

/// The times that one page took, in milliseconds.
pub(crate) type Times = Vec<f64>;

/// As somebody does who looks at one page after the other, and sometimes stays on one.
const BETWEEN: Duration = Duration::from_millis(20);

/// Asks for every page again and again, for so long; the times of each.
pub(crate) async fn ask(world: &World, pages: &[Page], time: Duration) -> Vec<Times> {
    let token = Control::of(world).token;
    let mut peer = Peer::at(world.control(), &token).await;
    let mut times = vec![Times::new(); pages.len()];
    let begun = Instant::now();
    while begun.elapsed() < time {
        for (page, times) in pages.iter().zip(&mut times) {
            tokio::time::sleep(BETWEEN).await;
            let asked = Instant::now();
            let (status, body) = peer.get(&page.path).await;
            times.push(asked.elapsed().as_secs_f64() * 1000.0);
            assert!(status.is_success(), "{}: {status} {body:?}", page.path);
        }
    }
    times
}

/// Prints what they took.
pub(crate) fn print(pages: &[Page], idle: &[Times], loaded: &[Times]) {
    println!("\nmilliseconds                  idle                     beside the load");
    println!("                          median    99 %     max     median    99 %     max   times");
    for ((page, idle), loaded) in pages.iter().zip(idle).zip(loaded) {
        println!(
            "{:<24} {:>7.1} {:>7.1} {:>7.1}    {:>7.1} {:>7.1} {:>7.1} {:>7}",
            page.name,
            quantile(idle, 0.5),
            quantile(idle, 0.99),
            quantile(idle, 1.0),
            quantile(loaded, 0.5),
            quantile(loaded, 0.99),
            quantile(loaded, 1.0),
            loaded.len(),
        );
    }
}

fn quantile(times: &[f64], part: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let place = (part * (times.len().max(1) - 1) as f64).round() as usize;
    times.get(place).copied().unwrap_or(f64::NAN)
}
