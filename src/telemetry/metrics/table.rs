//! What is exported, as data: the recorder's help texts and the README's table come from here.

use crate::telemetry::events::EventKind;
use crate::telemetry::metrics::{Kind, Label, Metric};
use metrics::Unit;

/// Names, where they are needed more than once.
pub(super) mod name {
    pub const CACHE_REQUESTS: &str = "catalog_cache_requests_total";
    pub const CACHE_ENTRIES: &str = "catalog_cache_entries";
    pub const CACHE_BYTES: &str = "catalog_cache_bytes";
    pub const CACHE_CAPACITY: &str = "catalog_cache_capacity_bytes";
    pub const CACHE_EVICTIONS: &str = "catalog_cache_evictions_total";
    pub const CACHE_COALESCED: &str = "catalog_cache_coalesced_total";
    pub const RENDITIONS_MADE: &str = "catalog_renditions_made_total";
    pub const STORE_UP: &str = "catalog_store_up";
    pub const STORE_BYTES: &str = "catalog_store_bytes";
    pub const STORE_LIVE_BYTES: &str = "catalog_store_live_bytes";
    pub const STORE_QUEUE: &str = "catalog_store_queue_length";
    pub const STORE_ERRORS: &str = "catalog_store_errors_total";
    pub const UPSTREAM_REQUESTS: &str = "catalog_upstream_requests_total";
    pub const UPSTREAM_DURATION: &str = "catalog_upstream_request_duration_seconds";
    pub const UPSTREAM_RETRIES: &str = "catalog_upstream_retries_total";
    pub const UPSTREAM_REJECTIONS: &str = "catalog_upstream_rejections_total";
    pub const CIRCUIT_STATE: &str = "catalog_circuit_state";
    pub const CIRCUIT_TRANSITIONS: &str = "catalog_circuit_transitions_total";
    pub const UPSTREAM_SKIPPED: &str = "catalog_upstream_products_skipped_total";
    pub const WARMUP_PRODUCTS: &str = "catalog_warmup_products_total";
    pub const WARMUP_PROGRESS: &str = "catalog_warmup_progress_ratio";
    pub const SYNCS: &str = "catalog_syncs_total";
    pub const SYNC_PRODUCTS: &str = "catalog_sync_products_total";
    pub const INDEX_COMPLETE: &str = "catalog_index_complete";
    pub const CONTRACT_CHECKS: &str = "catalog_contract_checks_total";
    pub const CONTRACT_FRESH: &str = "catalog_contract_checks_fresh_total";
    pub const CONTRACT_TRIGGERED: &str = "catalog_contract_refreshes_triggered_total";
    pub const CONTRACT_FAILED: &str = "catalog_contract_refreshes_failed_total";
    pub const CONTRACT_EXHAUSTED: &str = "catalog_contract_grace_exhausted_total";
    pub const CONTRACT_COMPLIANCE: &str = "catalog_contract_compliance_ratio";
    pub const EVENTS: &str = "catalog_events_total";
    pub const SHADOW_CHECKS: &str = "catalog_shadow_checks_total";
    pub const INVALIDATION_PENDING: &str = "catalog_invalidation_oldest_pending_seconds";
    pub const HTTP_DURATION: &str = "http_server_request_duration_seconds";
}

/// How a product read was satisfied.
pub(super) const OUTCOMES: [&str; 7] = [
    "hit", "miss", "stale", "negative", "fallback", "error", "bypass",
];

/// What the circuit to the inventory does.
pub(super) const CIRCUIT_STATES: [&str; 3] = ["closed", "open", "half_open"];

const OUTCOME: Label = Label {
    name: "outcome",
    values: &OUTCOMES,
};
const CAUSE: Label = Label {
    name: "cause",
    values: &["size", "expired", "purge"],
};
const VERSION: Label = Label {
    name: "version",
    values: &["1", "2"],
};
const CODING: Label = Label {
    name: "coding",
    values: &["identity", "gzip", "br", "zstd"],
};
const STORE_OPERATION: Label = Label {
    name: "operation",
    values: &["open", "read", "write", "flush", "rewrite"],
};
const OPERATION: Label = Label {
    name: "operation",
    values: &[
        "get",
        "list",
        "create",
        "replace",
        "patch",
        "delete",
        "availability",
        "health",
    ],
};
const UPSTREAM_OUTCOME: Label = Label {
    name: "outcome",
    values: &[
        "ok",
        "not_modified",
        "not_found",
        "client_error",
        "server_error",
        "timeout",
        "connect_error",
        "invalid",
        "rejected",
    ],
};
const SYNC_RESULT: Label = Label {
    name: "result",
    values: &["ok", "failed", "unheeded"],
};
/// The names of the contracts there are, 1,000 at most.
const CONTRACT: Label = Label {
    name: "contract",
    values: &[],
};
const EVENT_TYPE: Label = Label {
    name: "type",
    values: &EventKind::WORDS,
};
const REJECTION: Label = Label {
    name: "cause",
    values: &[
        "circuit_open",
        "rate_limit",
        "bulkhead",
        "deadline",
        "not_ready",
    ],
};
const STATE: Label = Label {
    name: "state",
    values: &CIRCUIT_STATES,
};
const TO: Label = Label {
    name: "to",
    values: &CIRCUIT_STATES,
};
const SHADOW_RESULT: Label = Label {
    name: "result",
    values: &["same", "different", "gone", "failed"],
};
const AGE: Label = Label {
    name: "age",
    values: &[
        "le_1s", "le_10s", "le_1m", "le_5m", "le_15m", "le_1h", "more",
    ],
};
const METHOD: Label = Label {
    name: "method",
    values: &[
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
    ],
};
/// The routes of the router, and `unmatched`.
const ROUTE: Label = Label {
    name: "route",
    values: &[],
};
/// The status codes the service uses.
const STATUS: Label = Label {
    name: "status",
    values: &[],
};

/// Every metric this service exports, beside the `process_*` family that every process has.
pub const ALL: &[Metric] = &[
    counter(
        name::CACHE_REQUESTS,
        &[OUTCOME],
        "Product reads, by how they were satisfied.",
    ),
    gauge(
        name::CACHE_ENTRIES,
        Unit::Count,
        "Entries in the serving tier.",
    ),
    gauge(
        name::CACHE_BYTES,
        Unit::Bytes,
        "What counts against the cache's cap.",
    ),
    gauge(name::CACHE_CAPACITY, Unit::Bytes, "The cache's cap."),
    counter(
        name::CACHE_EVICTIONS,
        &[CAUSE],
        "Entries that left the serving tier, by cause.",
    ),
    counter(
        name::CACHE_COALESCED,
        &[],
        "Readers that joined a load already under way.",
    ),
    counter(
        name::RENDITIONS_MADE,
        &[VERSION, CODING],
        "Versions and codings of products that were made at first need.",
    ),
    gauge(
        name::STORE_UP,
        Unit::Count,
        "1 while the persistent tier is in use, else 0.",
    ),
    gauge(
        name::STORE_BYTES,
        Unit::Bytes,
        "Size of the persistent tier on disk.",
    ),
    gauge(
        name::STORE_LIVE_BYTES,
        Unit::Bytes,
        "What is live in the persistent tier: its file also has what was overwritten and removed.",
    ),
    gauge(
        name::STORE_QUEUE,
        Unit::Count,
        "Changes the persistent tier has not written yet.",
    ),
    counter(
        name::STORE_ERRORS,
        &[STORE_OPERATION],
        "Failed operations of the persistent tier.",
    ),
    counter(
        name::UPSTREAM_REQUESTS,
        &[OPERATION, UPSTREAM_OUTCOME],
        "Attempts at the inventory, by operation and outcome.",
    ),
    histogram(
        name::UPSTREAM_DURATION,
        &[OPERATION],
        "How long attempts at the inventory took.",
    ),
    counter(
        name::UPSTREAM_RETRIES,
        &[],
        "Attempts at the inventory that repeated a failed one.",
    ),
    counter(
        name::UPSTREAM_REJECTIONS,
        &[REJECTION],
        "Attempts at the inventory that were not sent, by what was in the way.",
    ),
    Metric {
        labels: &[STATE],
        ..gauge(
            name::CIRCUIT_STATE,
            Unit::Count,
            "1 for the state that the circuit to the inventory is in, else 0.",
        )
    },
    counter(
        name::CIRCUIT_TRANSITIONS,
        &[TO],
        "Changes of the circuit to the inventory, by the state it came to.",
    ),
    counter(
        name::UPSTREAM_SKIPPED,
        &[],
        "Products of the inventory that were skipped as invalid.",
    ),
    counter(
        name::WARMUP_PRODUCTS,
        &[],
        "Products confirmed by listing passes.",
    ),
    gauge(
        name::WARMUP_PROGRESS,
        Unit::Count,
        "How far the listing pass is, 0 to 1.",
    ),
    counter(
        name::SYNCS,
        &[SYNC_RESULT],
        "Times the inventory was asked for what changed, by how that ended.",
    ),
    counter(
        name::SYNC_PRODUCTS,
        &[],
        "Products confirmed because the inventory listed them as changed.",
    ),
    gauge(
        name::INDEX_COMPLETE,
        Unit::Count,
        "1 when lists are answered from the local index, else 0.",
    ),
    counter(
        name::CONTRACT_CHECKS,
        &[CONTRACT],
        "Looks at the products under a freshness contract, one a product and tick.",
    ),
    counter(
        name::CONTRACT_FRESH,
        &[CONTRACT],
        "Those of them that found the product as fresh as promised.",
    ),
    counter(
        name::CONTRACT_TRIGGERED,
        &[CONTRACT],
        "Refreshes begun under a contract.",
    ),
    counter(
        name::CONTRACT_FAILED,
        &[CONTRACT],
        "Those of them that failed.",
    ),
    counter(
        name::CONTRACT_EXHAUSTED,
        &[CONTRACT],
        "Products that passed window and grace period of their contract.",
    ),
    labelled_gauge(
        name::CONTRACT_COMPLIANCE,
        &[CONTRACT],
        "Share of the checks that found the product fresh, 0 to 1.",
    ),
    counter(
        name::EVENTS,
        &[EVENT_TYPE],
        "Events, by type, whether told or left out of a sample.",
    ),
    counter(
        name::SHADOW_CHECKS,
        &[SHADOW_RESULT, AGE],
        "Fresh hits that were compared with the inventory, by what came of it and how old they were.",
    ),
    gauge(
        name::INVALIDATION_PENDING,
        Unit::Seconds,
        "How long the broad invalidation that waits longest for its refill has waited; 0 where none does.",
    ),
    histogram(
        name::HTTP_DURATION,
        &[METHOD, ROUTE, STATUS],
        "How long requests to the public API took, until their answer's head.",
    ),
];

const fn counter(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit: Unit::Count,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        unit,
        labels: &[],
        help,
    }
}

const fn labelled_gauge(
    name: &'static str,
    labels: &'static [Label],
    help: &'static str,
) -> Metric {
    Metric {
        labels,
        ..gauge(name, Unit::Count, help)
    }
}

const fn histogram(name: &'static str, labels: &'static [Label], help: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        unit: Unit::Seconds,
        labels,
        help,
    }
}
