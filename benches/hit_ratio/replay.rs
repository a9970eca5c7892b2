//! Reading a trace through a tier.

use crate::candidates::Tier;
use crate::traces::{Read, Who};

/// The share of customers' reads that are hits, once the tier has had a quarter of the trace to fill.
pub fn run(tier: &dyn Tier, trace: &[Read]) -> f64 {
    let (mut hits, mut reads) = (0_u64, 0_u64);
    for (at, read) in trace.iter().enumerate() {
        let hit = one(tier, read);
        if read.who == Who::Customer && at >= trace.len() / 4 {
            reads += 1;
            hits += u64::from(hit);
        }
    }
    hits as f64 / reads as f64
}

fn one(tier: &dyn Tier, read: &Read) -> bool {
    let Read {
        product,
        weight,
        who,
    } = *read;
    match who {
        Who::Customer | Who::Crawler => {
            let hit = tier.get(product);
            if !hit {
                tier.insert(product, weight);
            }
            hit
        }
        Who::Pass => {
            if !tier.holds(product) && tier.has_room_for(product, weight) {
                tier.insert(product, weight);
            }
            false
        }
        Who::PlainPass => {
            tier.insert(product, weight);
            false
        }
    }
}
