//! The progress bar of a listing pass, on a terminal.

use crate::catalog::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use tokio::sync::watch;

/// Draws on standard error until the first pass is through; does nothing where that is no terminal.
pub async fn draw(mut progress: watch::Receiver<Progress>) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{spinner} {bar:40} {pos} of {len} products  {msg}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        bar.set_length(now.total.unwrap_or(now.confirmed));
        bar.set_position(now.confirmed);
        bar.set_message(now.trouble.unwrap_or_default());
        if now.passes > 0 {
            break;
        }
    }
    bar.finish_and_clear();
}
