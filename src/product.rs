//! Products, and nothing but: no I/O, no clock, no framework.

mod criteria;
mod cursor;
mod draft;
mod model;
mod patch;
mod query;
mod representation;
mod strict;
mod tag;

pub use criteria::{Comparison, Criteria, Field, Fingerprint, Key, Operand, Place, SortKey, Term};
pub use cursor::Cursor;
pub use draft::{Draft, Problem, ProblemCode};
pub use model::{
    Attributes, InvalidId, InvalidProduct, Price, Product, ProductId, PublishedMembers, Status,
    parse_timestamp,
};
pub use patch::{Amendment, Patch, PatchProblem, PatchProblemCode};
pub use query::{PageQuery, Position, QueryProblem, QueryProblemCode};
pub use representation::{LastModified, Representation};
pub use tag::is_same_value;
