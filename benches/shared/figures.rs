//! Tables of figures: the median of the rounds, and how far they lie apart.

/// Prints the heads of the columns.
pub fn head(title: &str) {
    println!("\n{title:<52} {:>10} {:>10} {:>10}", "median", "min", "max");
}

/// Prints one figure, as measured in each round.
pub fn row(name: &str, unit: &str, rounds: impl IntoIterator<Item = f64>) {
    let mut rounds: Vec<f64> = rounds.into_iter().collect();
    rounds.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (rounds.first(), rounds.last()) else {
        return;
    };
    let median = rounds.get(rounds.len() / 2).unwrap_or(max);
    println!(
        "  {name:<50} {:>10} {:>10} {:>10}  {unit}",
        shown(*median),
        shown(*min),
        shown(*max)
    );
}

/// Four digits that count: nothing here is more exact.
fn shown(figure: f64) -> String {
    match figure.abs() {
        0.0..10.0 => format!("{figure:.3}"),
        10.0..100.0 => format!("{figure:.2}"),
        100.0..1000.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

/// A count as a figure.
#[allow(
    clippy::cast_precision_loss,
    reason = "figures are shown with four digits"
)]
pub fn number(count: u64) -> f64 {
    count as f64
}

/// One figure for each of `count` things.
pub fn per(total: u64, count: u64) -> f64 {
    number(total) / number(count.max(1))
}
