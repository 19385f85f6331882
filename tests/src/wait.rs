//! Waiting for conditions.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Longer than any step of the story on a slow machine with two cores; a step that needs it is broken.
const PATIENCE: Duration = Duration::from_mins(2);

/// Asks `find` until it finds something. A failure of the question itself counts as "not yet": servers may be restarting.
pub async fn until<T, F>(what: &str, mut find: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut last = "it did not come".to_owned();
    while Instant::now() < deadline {
        match find().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => last = format!("{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("waited {}s in vain for {what}: {last}", PATIENCE.as_secs())
}
