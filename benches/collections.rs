//! What a query over the collection costs, and how that grows with the catalogue.
//!
//! See `benches/README.md`.

#[path = "shared/machine.rs"]
mod machine;
#[path = "shared/service.rs"]
mod service;

use anyhow::{Context, ensure};
use clap::Parser;
use product_catalog::app::App;
use product_catalog::catalog::{Catalog, Criteria, Cursor, PageQuery, Place, Position, ProductId};
use product_catalog::demo::{Catalogue, Inventory};
use product_catalog::product::{Comparison, Field, Key, Operand, SortKey, Term};
use product_catalog::telemetry::{Conversation, Stopwatch};
use product_catalog::upstream::transport::in_process;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How large catalogues are.
const SIZES: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Products where nothing is measured: `cargo test --benches` only runs everything once.
const IN_TEST: usize = 300;

/// Products on a page.
const PAGE: usize = 20;

/// How long one query is repeated, and how often at least.
const AT_LEAST: (Duration, usize) = (Duration::from_secs(1), 5);

/// Measures queries over catalogues of different sizes.
#[derive(Debug, Parser)]
struct Arguments {
    /// Products in the inventory; more than one is more than one catalogue.
    #[arg(long)]
    products: Vec<usize>,
    /// Runs nothing unless `collections` contains one of these.
    filters: Vec<String>,
    /// What `cargo bench` says, and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is asked.
enum Asked {
    Page(PageQuery),
    Count(Criteria),
}

/// A query's name, how many products it is about, and how long it took.
struct Figure {
    name: &'static str,
    matches: u64,
    first: Duration,
    median: Duration,
    slowest: Duration,
}

/// A catalogue of one size.
struct Stage {
    runtime: Runtime,
    app: App,
    products: usize,
    built: Duration,
}

// === impl Stage ===

impl Stage {
    /// Builds a service that holds every body, so that queries are measured and not the inventory.
    fn set(products: usize) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let inventory = Inventory::new(Catalogue::generated(products, 1));
        let variables = [
            ("UPSTREAM_API", "http://inventory.test"),
            ("API_KEY", "none"),
            ("CACHE_TTL_SECONDS", "0"),
            ("CACHE_MAX_SIZE_MB", "8192"),
        ];
        let begun = Stopwatch::start();
        let app = runtime.block_on(async {
            let transport = in_process(inventory.router());
            let mut app = service::build(&variables, transport, None).await?;
            app.start()?;
            service::warmed(app.catalog()).await?;
            anyhow::Ok(app)
        })?;
        let (known, complete) = app.catalog().known();
        ensure!(
            complete && known == products,
            "{known} of {products} are known"
        );
        Ok(Self {
            built: begun.elapsed(),
            runtime,
            app,
            products,
        })
    }

    fn catalog(&self) -> &Catalog {
        self.app.catalog()
    }

    fn count(&self, criteria: &Criteria) -> anyhow::Result<u64> {
        let count = self.catalog().count(criteria);
        Ok(self.runtime.block_on(count)?)
    }

    /// Asks, and returns how many products the answer has or counts.
    fn ask(&self, asked: &Asked) -> anyhow::Result<u64> {
        match asked {
            Asked::Count(criteria) => self.count(criteria),
            Asked::Page(query) => {
                let page = self.catalog().page(query, Conversation::new());
                Ok(self.runtime.block_on(page)?.items.len() as u64)
            }
        }
    }

    /// Asks again and again.
    fn measure(&self, name: &'static str, asked: &Asked, once: bool) -> anyhow::Result<Figure> {
        let criteria = match asked {
            Asked::Page(query) => &query.criteria,
            Asked::Count(criteria) => criteria,
        };
        let begun = Stopwatch::start();
        let found = self.ask(asked).with_context(|| name)?;
        let first = begun.elapsed();
        ensure!(found > 0 || once, "{name} finds nothing");
        let mut took = vec![];
        let (long, often) = if once { (Duration::ZERO, 1) } else { AT_LEAST };
        while begun.elapsed() < long || took.len() < often {
            let watch = Stopwatch::start();
            ensure!(self.ask(asked)? == found, "{name} finds something else");
            took.push(watch.elapsed());
        }
        took.sort_unstable();
        Ok(Figure {
            name,
            matches: self.count(criteria)?,
            first,
            median: took.get(took.len() / 2).copied().unwrap_or_default(),
            slowest: took.last().copied().unwrap_or_default(),
        })
    }

    /// A price that one product in a hundred has or is above.
    fn dear(&self) -> anyhow::Result<i64> {
        let (mut low, mut high) = (0, 1_000_000);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let share = self.count(&filtered(price_from(middle)))? * 100;
            match share >= self.products as u64 {
                true => low = middle,
                false => high = middle,
            }
        }
        Ok(low)
    }

    fn queries(&self) -> anyhow::Result<Vec<(&'static str, Asked)>> {
        let dear = self.dear()?;
        let deep = self.products / 10 * 9;
        let width = self.products.to_string().len().max(6);
        let id = ProductId::parse(&format!("P-{deep:0width$}"))?;
        let by_price = Criteria {
            sort: vec![SortKey {
                field: Field::Price,
                descending: false,
            }],
            ..Criteria::default()
        };
        let half_way = |criteria: &Criteria, keys| {
            let id = id.clone();
            let cursor = Cursor::at(criteria, Place { keys, id });
            Position::After(cursor)
        };
        let text = |words: &str| Criteria {
            text: Some(words.into()),
            ..Criteria::default()
        };
        let brand = Term {
            field: Field::Brand,
            comparison: Comparison::Equal,
            operand: Operand::Text("Holmgren".into()),
        };
        let plain = Criteria::default();
        let from = |position, criteria: &Criteria| {
            Asked::Page(PageQuery {
                limit: PAGE,
                position,
                criteria: criteria.clone(),
            })
        };
        let page = |criteria: &Criteria| from(Position::Start, criteria);
        let deep = half_way(&plain, vec![]);
        let dear_place = half_way(&by_price, vec![Key::Integer(dear - 1)]);
        Ok(vec![
            ("page in id order", page(&plain)),
            ("deep page in id order", from(deep, &plain)),
            ("page sorted by price", page(&by_price)),
            ("deep page sorted by price", from(dear_place, &by_price)),
            (
                "page of a filter that matches 1 %",
                page(&filtered(price_from(dear))),
            ),
            ("page of one brand", page(&filtered(brand.clone()))),
            ("count of all", Asked::Count(plain.clone())),
            (
                "count of a filter that matches 1 %",
                Asked::Count(filtered(price_from(dear))),
            ),
            ("count of one brand", Asked::Count(filtered(brand))),
            ("text: one word", page(&text("saucepan"))),
            ("text: two words", page(&text("kitchen saucepan"))),
            ("text: a beginning", page(&text("sauc"))),
            ("text: one letter", page(&text("s"))),
            ("text: words that most have", page(&text("the and"))),
            ("count of a text", Asked::Count(text("kitchen saucepan"))),
        ])
    }
}

// === impl Figure ===

impl Figure {
    fn row(&self, products: usize) -> String {
        let micros = |took: Duration| format!("{:.1}", took.as_secs_f64() * 1e6);
        let (first, median, slowest) = (self.first, self.median, self.slowest);
        format!(
            "| {} | {products} | {} | {} | {} | {} |",
            self.name,
            self.matches,
            micros(median),
            micros(slowest),
            micros(first)
        )
    }
}

fn filtered(term: Term) -> Criteria {
    Criteria {
        filter: vec![term],
        ..Criteria::default()
    }
}

fn price_from(amount: i64) -> Term {
    Term {
        field: Field::Price,
        comparison: Comparison::GreaterOrEqual,
        operand: Operand::Amount(amount),
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let is_meant = |filter: &String| "collections".contains(filter.as_str());
    if !arguments.filters.is_empty() && !arguments.filters.iter().any(is_meant) {
        return Ok(());
    }
    let sizes = match (arguments.bench, arguments.products.is_empty()) {
        (false, _) => vec![IN_TEST],
        (true, true) => SIZES.to_vec(),
        (true, false) => arguments.products,
    };
    println!("\n{}", machine::describe());
    let (mut rows, mut costs) = (Vec::new(), Vec::new());
    for products in sizes {
        let stage = Stage::set(products)?;
        let mut figures = Vec::new();
        for (name, asked) in stage.queries()? {
            figures.push(stage.measure(name, &asked, !arguments.bench)?);
        }
        rows.push(
            figures
                .iter()
                .map(|figure| figure.row(products))
                .collect::<Vec<_>>(),
        );
        // After the queries, so that the orders they asked for are counted.
        costs.push(format!(
            "| {products} | {} | {:.1} |",
            stage.catalog().index_bytes() / products,
            stage.built.as_secs_f64()
        ));
        let Stage { runtime, app, .. } = stage;
        runtime.block_on(app.stop(Duration::from_secs(5)));
    }
    println!(
        "\n| query | products | matches | median, µs | slowest, µs | first, µs |\n|---|---|---|---|---|---|"
    );
    let queries = rows.first().map_or(0, Vec::len);
    for query in 0..queries {
        for row in rows.iter().filter_map(|rows| rows.get(query)) {
            println!("{row}");
        }
    }
    println!("\n| products | index, bytes a product | warm-up, s |\n|---|---|---|");
    costs.iter().for_each(|row| println!("{row}"));
    Ok(())
}
