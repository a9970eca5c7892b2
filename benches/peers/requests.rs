//! What is asked: written down before anything is measured.

use crate::client::get;
use crate::serving::path;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// How uneven the interest in products is: the most popular one is read 2^0.99 times as often as the second.
const EXPONENT: f64 = 0.99;

/// Always the same requests.
const SEED: u64 = 1;

/// Products by popularity, which has nothing to do with their ids.
pub struct Popularity {
    /// Of the first n, added up.
    weights: Vec<f64>,
    /// Numbers of products, the most popular first.
    ranks: Vec<usize>,
    random: fastrand::Rng,
}

// === impl Popularity ===

impl Popularity {
    pub fn of(products: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut ranks: Vec<usize> = (1..=products).collect();
        random.shuffle(&mut ranks);
        let mut sum = 0.0;
        let weights = ranks.iter().enumerate().map(|(rank, _)| {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let rank = rank as f64 + 1.0;
            sum += rank.powf(-EXPONENT);
            sum
        });
        Self {
            weights: weights.collect(),
            ranks,
            random,
        }
    }

    /// A number of a product, 1 to as many as there are.
    pub fn draw(&mut self) -> usize {
        let total = self.weights.last().copied().unwrap_or_default();
        let at = self.random.f64() * total;
        let rank = self.weights.partition_point(|&weight| weight < at);
        self.ranks.get(rank).copied().unwrap_or(1)
    }

    /// Reads of every product, each once.
    pub fn each_once(&self) -> Vec<String> {
        let products = self.ranks.len();
        let numbers = self.ranks.iter();
        numbers
            .map(|&number| get(&path(number, products)))
            .collect()
    }

    /// A number below `end`.
    pub fn dice(&mut self, end: usize) -> usize {
        self.random.usize(0..end)
    }
}

/// A read of a product that the reader has already, in the version with this tag.
pub fn get_if_changed(path: &str, tag: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nIf-None-Match: {tag}\r\n\r\n")
}

/// Every product once, in the order of ids.
pub fn all(products: usize) -> Vec<String> {
    let numbers = 1..=products;
    numbers.map(|number| get(&path(number, products))).collect()
}

/// Writes requests down for `load.lua` and for [`read`].
pub fn write(file: &Path, requests: &[String]) -> anyhow::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(file)?);
    for request in requests {
        write!(file, "{}\n{request}", request.len())?;
    }
    Ok(file.flush()?)
}

/// Reads what [`write`] wrote.
pub fn read(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut file = BufReader::new(std::fs::File::open(file)?);
    let mut requests = Vec::new();
    let mut line = String::new();
    while file.read_line(&mut line)? > 0 {
        let mut request = vec![0; line.trim_end().parse()?];
        file.read_exact(&mut request)?;
        requests.push(request);
        line.clear();
    }
    Ok(requests)
}
