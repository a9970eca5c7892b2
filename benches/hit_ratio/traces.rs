//! Who reads what, in which order. Everything follows from the seed.

use fastrand::Rng;

/// What a product weighs at least, in bytes: what the tier holds beside its body, and a short body.
const LEAST_BYTES: u64 = 500;

/// How often demand changes within a trace.
const FORTY: usize = 40;

/// The mean of what is added to that, and the most.
const MEAN_BYTES: f64 = 900.0;
const MOST_BYTES: u64 = 16_000;

/// A read, or a product's place in a listing.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub product: u32,
    pub weight: u32,
    pub who: Who,
}

/// Whose read it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Reads what is in demand; the only one whose hits count.
    Customer,
    /// Reads every product once, in the order of ids.
    Crawler,
    /// A listing pass: confirms what is held, and takes in what it can without costing another its place.
    Pass,
    /// The same if it were a plain insert.
    PlainPass,
}

/// Which trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// By Zipf's law, with this exponent in hundredths.
    Zipf(u32),
    /// Zipf with exponent 0.99, and a scan of everything through it.
    Scanned(Who),
    /// Round and round over a tenth more than fits.
    Loop,
    /// Zipf with exponent 0.99, and a tenth of the ranks goes to other products, forty times.
    Shifting,
    /// Nine of ten reads are about as many products as fill two thirds of what fits, all alike; others forty times.
    Sale,
}

/// What traces are made of.
pub struct Setting {
    reads: usize,
    seed: u64,
    /// The weight of each product, in bytes.
    weights: Vec<u32>,
    /// Products, the most popular first.
    ranked: Vec<u32>,
    /// What fits, in bytes.
    pub capacity: u64,
}

/// Draws ranks.
struct Zipf {
    cumulative: Vec<f64>,
}

// === impl Trace ===

impl Trace {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Zipf(80),
        Self::Zipf(99),
        Self::Zipf(120),
        Self::Scanned(Who::Crawler),
        Self::Scanned(Who::Pass),
        Self::Scanned(Who::PlainPass),
        Self::Loop,
        Self::Shifting,
        Self::Sale,
    ];

    /// The head of its column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zipf(80) => "zipf 0.8",
            Self::Zipf(99) => "zipf 0.99",
            Self::Zipf(_) => "zipf 1.2",
            Self::Scanned(Who::Pass) => "0.99, a listing pass through it",
            Self::Scanned(Who::PlainPass) => "the same as plain inserts",
            Self::Scanned(_) => "0.99, a crawler through it",
            Self::Loop => "loop, 1.1 × what fits",
            Self::Shifting => "0.99, demand shifts",
            Self::Sale => "one sale after the other",
        }
    }
}

// === impl Setting ===

impl Setting {
    /// So many products, of which `share` hundredths fit.
    pub fn new(products: usize, reads: usize, share: u64, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let weight = |_| {
            let more = -MEAN_BYTES * (1.0 - random.f64()).ln();
            (LEAST_BYTES + more as u64).min(MOST_BYTES) as u32
        };
        let weights: Vec<u32> = (0..products).map(weight).collect();
        let mut ranked: Vec<u32> = (0..products as u32).collect();
        random.shuffle(&mut ranked);
        let all: u64 = weights.iter().copied().map(u64::from).sum();
        Self {
            reads,
            seed,
            weights,
            ranked,
            capacity: all * share / 100,
        }
    }

    /// The reads of a trace.
    pub fn trace(&self, trace: Trace) -> Vec<Read> {
        let mut random = Rng::with_seed(self.seed + 1);
        match trace {
            Trace::Zipf(exponent) => {
                let zipf = Zipf::new(self.ranked.len(), f64::from(exponent) / 100.0);
                let reads = 0..self.reads;
                reads
                    .map(|_| self.ranked[zipf.draw(&mut random)])
                    .map(|product| self.read(product, Who::Customer))
                    .collect()
            }
            Trace::Scanned(who) => self.scanned(who, &mut random),
            Trace::Loop => self.looped(),
            Trace::Shifting => self.shifting(&mut random),
            Trace::Sale => self.sales(&mut random),
        }
    }

    /// Two scans, each through a quarter of the trace: the first begins after the first quarter.
    fn scanned(&self, who: Who, random: &mut Rng) -> Vec<Read> {
        let zipf = Zipf::new(self.ranked.len(), 0.99);
        let products = self.weights.len();
        let mut reads = Vec::with_capacity(self.reads + 2 * products);
        let quarter = self.reads / 4;
        let mut scanned = 0;
        for at in 0..self.reads {
            reads.push(self.read(self.ranked[zipf.draw(random)], Who::Customer));
            let due = match at / quarter {
                1 => (at - quarter) * products / quarter,
                2 => products,
                3 => products + (at - 3 * quarter) * products / quarter,
                _ => 0,
            };
            while scanned < due {
                reads.push(self.read((scanned % products) as u32, who));
                scanned += 1;
            }
        }
        reads
    }

    /// How many of the products from this rank on have so many bytes together.
    fn within(&self, bytes: u64, from: usize) -> usize {
        let mut held = 0;
        let fits = |product: &&u32| {
            held += u64::from(self.weights[**product as usize]);
            held <= bytes
        };
        self.ranked
            .iter()
            .cycle()
            .skip(from)
            .take_while(fits)
            .count()
    }

    fn looped(&self) -> Vec<Read> {
        let round = self.within(self.capacity * 11 / 10, 0);
        let reads = self.ranked.iter().take(round).cycle().take(self.reads);
        reads
            .map(|product| self.read(*product, Who::Customer))
            .collect()
    }

    fn shifting(&self, random: &mut Rng) -> Vec<Read> {
        let zipf = Zipf::new(self.ranked.len(), 0.99);
        let mut ranked = self.ranked.clone();
        let each = (self.reads / FORTY).max(1);
        let mut reads = Vec::with_capacity(self.reads);
        for at in 0..self.reads {
            if at % each == 0 {
                for _ in 0..ranked.len() / 20 {
                    let (one, other) = (random.usize(..ranked.len()), random.usize(..ranked.len()));
                    ranked.swap(one, other);
                }
            }
            reads.push(self.read(ranked[zipf.draw(random)], Who::Customer));
        }
        reads
    }

    fn sales(&self, random: &mut Rng) -> Vec<Read> {
        let zipf = Zipf::new(self.ranked.len(), 0.99);
        let (products, each) = (self.ranked.len(), (self.reads / FORTY).max(1));
        let size = self.within(self.capacity * 2 / 3, 0).max(1);
        let mut first = 0;
        let mut reads = Vec::with_capacity(self.reads);
        for at in 0..self.reads {
            if at % each == 0 {
                first = random.usize(..products);
            }
            let rank = match random.usize(..10) {
                0 => zipf.draw(random),
                _ => (first + random.usize(..size)) % products,
            };
            reads.push(self.read(self.ranked[rank], Who::Customer));
        }
        reads
    }

    fn read(&self, product: u32, who: Who) -> Read {
        let weight = self.weights[product as usize];
        Read {
            product,
            weight,
            who,
        }
    }
}

// === impl Zipf ===

impl Zipf {
    fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let share = |rank: usize| {
            sum += (rank as f64).powf(-exponent);
            sum
        };
        let cumulative = (1..=ranks).map(share).collect();
        Self { cumulative }
    }

    fn draw(&self, random: &mut Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or_default();
        let wanted = random.f64() * total;
        self.cumulative
            .partition_point(|sum| *sum <= wanted)
            .min(self.cumulative.len() - 1)
    }
}
