//! Products, and nothing but: no I/O, no clock, no framework.

mod coding;
mod criteria;
mod cursor;
mod draft;
mod model;
mod patch;
mod query;
mod representation;
mod select;
mod strict;
mod tag;
mod version;

pub use coding::{Coding, Effort, LEAST_ENCODED};
pub use criteria::{Comparison, Criteria, Field, Fingerprint, Key, Operand, Place, SortKey, Term};
pub use cursor::Cursor;
pub use draft::{Draft, Problem, ProblemCode, is_plain_name};
pub use model::{
    Attributes, InvalidId, InvalidProduct, Price, Product, ProductId, PublishedMembers, Status,
    parse_timestamp,
};
pub use patch::{Amendment, Patch, PatchProblem, PatchProblemCode};
pub use query::{
    Asked, GroupPosition, GroupQuery, PageQuery, Position, Query, QueryProblem, QueryProblemCode,
};
pub use representation::{Digest, LastModified, Rendition, Representation, entity_tag};
pub use select::Select;
pub use strict::Unrepeated;
pub use tag::is_same_value;
pub use version::{Version, flatten};
