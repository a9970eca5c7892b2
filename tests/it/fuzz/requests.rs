//! Requests that nobody in their right mind sends, and some that everybody does.

use super::answers::Seen;
use crate::harness::WRITE_KEY;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fastrand::Rng;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt;

/// Stands in every hostile value: no answer may repeat it.
pub const MARK: &str = "zq<7";

/// Stands in every credential that is made up: no answer may show it.
pub const SECRET: &str = "zqsecretzq";

/// The most tags and cursors that are remembered.
const MOST_LEARNT: usize = 64;

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub uri: String,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Vec<u8>,
    /// Whether the body breaks off.
    pub breaks_off: bool,
}

/// Makes requests out of what the OpenAPI document says.
pub struct Generator {
    rng: Rng,
    operations: Vec<Operation>,
    /// Names of every query parameter, and of what a product may be queried by.
    parameters: Vec<String>,
    /// Entity tags, and where each was found.
    tags: Vec<(String, String)>,
    cursors: Vec<String>,
}

struct Operation {
    path: String,
    method: Method,
    /// Content type and an example body.
    bodies: Vec<(String, Value)>,
}

// === impl Asked ===

impl Asked {
    /// As HTTP has it; `None` where it could not.
    pub fn request(&self) -> Option<Request<Body>> {
        let uri: Uri = self.uri.parse().ok()?;
        let mut request = Request::builder().method(self.method.clone()).uri(uri);
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value).ok()?;
            request = request.header(HeaderName::from_static(name), value);
        }
        let chunk: Result<Vec<u8>, std::io::Error> = Ok(self.body.clone());
        let body = match self.breaks_off {
            true => Body::from_stream(futures_util::stream::iter([
                chunk,
                Err(std::io::Error::other("the client went away")),
            ])),
            false => Body::from(self.body.clone()),
        };
        request.body(body).ok()
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beginning = |bytes: &[u8]| {
            let shown = bytes.get(..600).unwrap_or(bytes);
            format!(
                "{:?} ({} bytes)",
                String::from_utf8_lossy(shown),
                bytes.len()
            )
        };
        writeln!(f, "{} {}", self.method, beginning(self.uri.as_bytes()))?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", beginning(value))?;
        }
        write!(f, "body {}", beginning(&self.body))
    }
}

// === impl Generator ===

impl Generator {
    /// Makes requests for every operation of `document`, always the same for one `seed`.
    pub fn new(document: &Value, seed: u64) -> Self {
        let mut operations = Vec::new();
        let mut parameters = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let Some(method) = method_named(method) else {
                    continue;
                };
                let asked = operation["parameters"].as_array();
                for parameter in asked.into_iter().flatten() {
                    let parameter = resolved(document, parameter);
                    if parameter["in"] == "query" {
                        parameters.extend(parameter["name"].as_str().map(str::to_owned));
                    }
                }
                let content = operation["requestBody"]["content"].as_object();
                let bodies = content.into_iter().flatten().flat_map(|(kind, content)| {
                    let examples = content["examples"].as_object().into_iter().flatten();
                    let examples =
                        examples.map(|(_, example)| &resolved(document, example)["value"]);
                    let all = examples.chain([&content["example"]]);
                    all.filter(|example| !example.is_null())
                        .map(|example| (kind.clone(), example.clone()))
                        .collect::<Vec<_>>()
                });
                operations.push(Operation {
                    path: path.clone(),
                    bodies: bodies.collect(),
                    method,
                });
            }
        }
        assert!(operations.len() > 5, "the document has operations");
        parameters.extend(FIELDS.iter().chain(OPTIONS).map(|name| (*name).to_owned()));
        Self {
            rng: Rng::with_seed(seed),
            operations,
            parameters: parameters.into_iter().collect(),
            tags: Vec::new(),
            cursors: Vec::new(),
        }
    }

    /// Remembers what an answer told, so that some of what comes is real.
    pub fn learn(&mut self, asked: &Asked, seen: Seen) {
        let at = self.rng.usize(..MOST_LEARNT);
        let tag = seen.tag.map(|tag| (asked.uri.clone(), tag));
        replace(&mut self.tags, at, tag);
        replace(&mut self.cursors, at, seen.cursor);
    }

    /// The next request.
    pub fn next_request(&mut self) -> Asked {
        let at = self.rng.usize(..self.operations.len());
        let Operation {
            path,
            method,
            bodies,
        } = &self.operations[at];
        let (path, method, bodies) = (path.clone(), method.clone(), bodies.clone());
        let method = match self.rng.u8(..12) {
            0 => self.one_of(METHODS),
            1 if method == Method::GET => Method::HEAD,
            _ => method,
        };
        let uri = self.uri(&path);
        let (kind, body) = self.body(&bodies, &method);
        let mut asked = Asked {
            headers: self.headers(kind),
            breaks_off: self.chance(0.01),
            method,
            uri,
            body,
        };
        if !self.tags.is_empty() && self.chance(0.05) {
            let tags = self.tags.clone();
            let (uri, tag) = self.one_of(&tags);
            let condition = self.one_of(&["if-none-match", "if-match"]);
            asked.headers.push((condition, tag.into_bytes()));
            asked.uri = uri;
        }
        if self.chance(0.02) {
            asked.headers.push(("x-filler", vec![b'a'; 40_000]));
        }
        asked
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.f64() < share
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())].clone()
    }

    fn uri(&mut self, path: &str) -> String {
        let mut uri = match self.rng.u8(..20) {
            0 => self.one_of(PATHS).to_owned(),
            1 => format!("{path}{}", self.one_of(PATHS)),
            _ => String::new(),
        };
        if uri.is_empty() {
            let id = match self.rng.u8(..8) {
                0 => percent(&self.hostile()),
                1 => self.one_of(IDS).to_owned(),
                _ => format!("P-{:06}", self.rng.usize(1..=super::PRODUCTS)),
            };
            let parts = path.split('{').map(|part| match part.split_once('}') {
                Some((_, rest)) => format!("{id}{rest}"),
                None => part.to_owned(),
            });
            uri = parts.collect();
        }
        let pairs = match self.rng.u8(..4) {
            0 | 1 => 0,
            2 => 1,
            _ => self.rng.usize(1..5),
        };
        for at in 0..pairs {
            uri.push(if at == 0 { '?' } else { '&' });
            uri.push_str(&self.pair());
        }
        if self.chance(0.005) {
            uri.push_str(&format!("?limit={}", "9".repeat(9_000)));
        }
        uri
    }

    /// A query parameter, or what looks like one.
    fn pair(&mut self) -> String {
        let name = match self.rng.u8(..10) {
            0 => percent(&self.hostile()),
            1 => self.one_of(FIELDS).to_owned(),
            _ => {
                let parameters = self.parameters.clone();
                self.one_of(&parameters)
            }
        };
        let comparison = match self.rng.u8(..8) {
            0 => String::new(),
            1 | 2 => self.one_of(COMPARISONS).to_owned(),
            _ => "=".to_owned(),
        };
        let value = match self.rng.u8(..8) {
            0 => percent(&self.hostile()),
            1 => self.hostile().replace(['<', ' ', '\u{0}'], "%"),
            2 => self.cursor(),
            3 => {
                let parameters = self.parameters.clone();
                let sign = self.one_of(&["", "-", "+", "%2B", " "]);
                format!("{sign}{},{}", self.one_of(&parameters), self.one_of(FIELDS))
            }
            _ => self.one_of(VALUES).to_owned(),
        };
        format!("{name}{comparison}{value}")
    }

    /// A cursor that was real once, with a byte changed or not, or one in words that pretend to be the
    /// inventory's.
    fn cursor(&mut self) -> String {
        if self.chance(0.2) {
            let words = self.hostile();
            return URL_SAFE_NO_PAD.encode(format!("\u{2}u{words}"));
        }
        if self.cursors.is_empty() {
            return String::new();
        }
        let cursors = self.cursors.clone();
        let mut cursor = self.one_of(&cursors).into_bytes();
        for _ in 0..self.rng.usize(..3) {
            let at = self.rng.usize(..cursor.len());
            cursor[at] = self.rng.alphanumeric() as u8;
        }
        if self.chance(0.2) {
            cursor.truncate(self.rng.usize(..cursor.len()));
        }
        percent(&String::from_utf8_lossy(&cursor))
    }

    /// Text that must never come back.
    fn hostile(&mut self) -> String {
        let around = self.one_of(HOSTILE);
        match self.rng.u8(..3) {
            0 => format!("{MARK}{around}"),
            1 => format!("{around}{MARK}"),
            _ => format!("{MARK}{}", around.repeat(self.rng.usize(1..40))),
        }
    }

    fn headers(&mut self, kind: Option<String>) -> Vec<(&'static str, Vec<u8>)> {
        let mut headers = vec![("host", b"catalog.test".to_vec())];
        if let Some(kind) = kind {
            headers.push(("content-type", kind.into_bytes()));
        }
        match self.rng.u8(..10) {
            0 => {}
            1 => headers.push(("x-api-key", format!("{SECRET}{MARK}").into_bytes())),
            _ => headers.push(("x-api-key", WRITE_KEY.as_bytes().to_vec())),
        }
        let extra = match self.rng.u8(..3) {
            0 => 0,
            1 => 1,
            _ => self.rng.usize(1..5),
        };
        for _ in 0..extra {
            let (name, values) = self.one_of(HEADERS);
            let value = match self.rng.u8(..6) {
                0 => self.hostile().into_bytes(),
                1 => (0..self.rng.usize(..30)).map(|_| self.rng.u8(..)).collect(),
                2 if name.starts_with("if-") && !self.tags.is_empty() => {
                    let tags = self.tags.clone();
                    self.one_of(&tags).1.into_bytes()
                }
                _ => self.one_of(values).as_bytes().to_vec(),
            };
            headers.push((name, value));
        }
        headers
    }

    /// A body and its content type.
    fn body(&mut self, bodies: &[(String, Value)], method: &Method) -> (Option<String>, Vec<u8>) {
        if bodies.is_empty() {
            let none = !self.chance(0.05) || method == Method::HEAD;
            return match none {
                true => (None, Vec::new()),
                false => (Some("application/json".to_owned()), self.garbage()),
            };
        }
        let (kind, mut example) = self.one_of(bodies);
        if self.chance(0.3) && example["id"].is_string() {
            example["id"] = json!(format!("NEW-{}", self.rng.u16(..)));
        }
        let kind = match self.rng.u8(..12) {
            0 => None,
            1 => Some(self.one_of(KINDS).to_owned()),
            _ => Some(kind),
        };
        let body = match self.rng.u8(..10) {
            0 => self.garbage(),
            1 => self.one_of(BODIES).as_bytes().to_vec(),
            2 | 3 => example.to_string().into_bytes(),
            _ => {
                let mut body = example;
                for _ in 0..self.rng.usize(1..4) {
                    self.mutate(&mut body, 0);
                }
                self.damaged(body.to_string())
            }
        };
        (kind, body)
    }

    /// Changes something somewhere in `value`.
    fn mutate(&mut self, value: &mut Value, depth: usize) {
        if depth > 0 && self.chance(0.3) {
            *value = self.value();
            return;
        }
        match value {
            Value::Object(members) if !members.is_empty() => {
                let names: Vec<_> = members.keys().cloned().collect();
                let name = self.one_of(&names);
                match self.rng.u8(..8) {
                    0 => drop(members.remove(&name)),
                    1 => {
                        let value = self.value();
                        members.insert(self.hostile(), value);
                    }
                    2 => {
                        let value = self.value();
                        members.insert(self.one_of(FIELDS).to_owned(), value);
                    }
                    _ => self.mutate(&mut members[&name], depth + 1),
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let at = self.rng.usize(..items.len());
                match self.rng.u8(..6) {
                    0 => drop(items.remove(at)),
                    1 => {
                        let item = items[at].clone();
                        let times = self.one_of(&[1, 20, 600]);
                        items.extend(std::iter::repeat_n(item, times));
                    }
                    2 => items.push(self.value()),
                    _ => self.mutate(&mut items[at], depth + 1),
                }
            }
            _ => *value = self.value(),
        }
    }

    /// Any JSON.
    fn value(&mut self) -> Value {
        match self.rng.u8(..12) {
            0 => Value::Null,
            1 => json!(self.rng.bool()),
            2 => json!(self.one_of(&[0, 1, -1, i64::MAX, i64::MIN, 1_000_000])),
            3 => json!(u64::MAX),
            4 => json!(self.one_of(&[0.5, -0.0, 1e308, 5e-324])),
            5 => json!([]),
            6 => json!({}),
            7 => json!({ self.hostile(): [self.hostile()] }),
            8 => json!("x".repeat(self.one_of(&[0, 1, 300, 70_000]))),
            9 => json!(self.one_of(POINTERS)),
            10 => json!(self.one_of(VALUES)),
            _ => json!(self.hostile()),
        }
    }

    /// JSON as it should not be: a member twice, a number too large, cut off, not UTF-8.
    fn damaged(&mut self, text: String) -> Vec<u8> {
        let mut bytes = match self.rng.u8(..12) {
            0 => text.replacen('{', r#"{"name":"a","name":"b","id":"x","id":"y","#, 1),
            1 => text.replacen("5122", "512200000000000000000000000000000000000000", 1),
            2 => text.replacen("5122", "1e999", 1),
            3 => text.replacen('"', "\\u0000\"", 1),
            4 => text.replacen(':', &format!(":{}", "[".repeat(3_000)), 1),
            5 => format!("{text}{text}"),
            6 => format!("\u{FEFF}{text}"),
            _ => text,
        }
        .into_bytes();
        match self.rng.u8(..16) {
            0 => bytes.truncate(self.rng.usize(..=bytes.len())),
            1 if !bytes.is_empty() => {
                let at = self.rng.usize(..bytes.len());
                bytes[at] = self.rng.u8(..);
            }
            2 if self.chance(0.2) => bytes.resize(1_100_000, b' '),
            _ => {}
        }
        bytes
    }

    fn garbage(&mut self) -> Vec<u8> {
        (0..self.rng.usize(..200))
            .map(|_| self.rng.u8(..))
            .collect()
    }
}

/// Puts what is new into place `at`, or wherever there is room.
fn replace<T>(known: &mut Vec<T>, at: usize, new: Option<T>) {
    match (new, known.get_mut(at)) {
        (Some(new), Some(old)) => *old = new,
        (Some(new), None) => known.push(new),
        (None, _) => {}
    }
}

fn method_named(name: &str) -> Option<Method> {
    let known = ["get", "put", "post", "delete", "options", "head", "patch"];
    known
        .contains(&name)
        .then(|| name.to_uppercase().parse().ok())?
}

/// What `value` refers to, or itself.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let reference = value["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix('#'));
    reference.map_or(value, |path| document.pointer(path).unwrap())
}

/// Every byte that is no letter or digit as `%XX`.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

const METHODS: &[Method] = &[
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

const PATHS: &[&str] = &[
    "/",
    "//",
    "/products/",
    "/products//",
    "/products/..",
    "/products/%2e%2e/openapi",
    "/products/%ff%fe",
    "/products/%00",
    "/products/%",
    "/products/%zz",
    "/products/search",
    "/products/batch",
    "/products/P-000001/availability",
    "/categories",
    "/brands",
    "/docs/assets/..%2f..%2fCargo.toml",
    "/health/live/",
    "/metrics",
    "/cache/stats",
    "/.env",
    "/favicon.ico",
    "*",
    "/products/P-000001;v=1",
    "/products/zq%3C7",
    "/PRODUCTS",
    "/products/\u{e4}",
];

const IDS: &[&str] = &[
    "P-000001",
    "no-such-product",
    ".",
    "..",
    "-a",
    "a%2Fb",
    "%2e",
    "search",
    "batch",
    "a%00b",
    "%E2%82%AC",
    "KETTLE-17",
    "a+b",
    "a%20b",
];

const FIELDS: &[&str] = &[
    "id",
    "sku",
    "name",
    "description",
    "category",
    "brand",
    "price",
    "currency",
    "status",
    "tags",
    "createdAt",
    "updatedAt",
    "attributes",
    "attributes.colour",
    "attributes.stock",
    "attributes.",
    "price.amount",
    "etag",
];

const OPTIONS: &[&str] = &[
    "limit",
    "after",
    "before",
    "sortby",
    "select",
    "count",
    "q",
    "offset",
    "filter",
    "x-api-key",
    "token",
    "page",
];

const COMPARISONS: &[&str] = &[
    "%3E=", "%3E", "%3C=", "%3C", "%3C%3E", ">=", "=%3E", "==", "!=", "%3D", "~", "[]=",
];

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "20",
    "100",
    "101",
    "5",
    "1e3",
    "0x10",
    "99999999999999999999",
    "9223372036854775807",
    "-9223372036854775808",
    "NaN",
    "true",
    "null",
    "'kitchen'",
    "%27kitchen%27",
    "kitchen",
    "%27",
    "%27%27",
    "%27%27%27",
    "%27a%27%27b%27",
    "'a'b",
    "active",
    "EUR",
    "P-000001",
    "2024-01-01T00:00:00Z",
    "2024-13-01T00:00:00Z",
    "0000-01-01",
    "name",
    "-price,%2Bname",
    "price,price",
    ",",
    ",,",
    "id,name",
    "%ff",
    "%00",
    "%",
    "%2",
    "%F0%9F%98%80",
    "a%20b",
    "a+b",
    "steel",
    "Caff%C3%A8",
    "P-000001,P-000002,nope",
    "*",
];

const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "'; DROP TABLE products; --",
    "${jndi:ldap://x}",
    "../../etc/passwd",
    "{{7*7}}",
    "\u{202E}",
    "%s%n",
    "\r\nx-evil: 1",
    "\u{0}",
    "😀",
    "\u{FFFF}",
    "\"",
    "\\",
    "a",
    "%0d%0aSet-Cookie:x",
    " ",
];

const KINDS: &[&str] = &[
    "",
    "json",
    "text/plain",
    "application/json;v=1",
    "application/json;v=2",
    "application/json;v=3",
    "application/json; charset=latin1",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/xml",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/json, application/json",
    "*/*",
    "APPLICATION/JSON",
    "application/json;;v",
    "zq<7/zq<7",
];

const BODIES: &[&str] = &[
    "",
    " ",
    "null",
    "0",
    "\"\"",
    "[]",
    "{}",
    "[{}]",
    "{\"items\":[]}",
    "{\"items\":{}}",
    "{\"ids\":[]}",
    "{\"ids\":[\"P-000001\",\"P-000001\",7]}",
    "{\"items\":[{\"id\":\"P-000002\",\"patch\":[{\"op\":\"remove\",\"path\":\"/brand\"}]},{}]}",
    "[{\"op\":\"add\"}]",
    "[{\"op\":\"test\",\"path\":\"/name\",\"value\":1}]",
    "[{\"op\":\"remove\",\"path\":\"/name\"}]",
    "[{\"op\":\"replace\",\"path\":\"\",\"value\":{}}]",
    "[{\"op\":\"move\",\"from\":\"/price\",\"path\":\"/price/amount\"}]",
    "[{\"op\":\"copy\",\"from\":\"/tags\",\"path\":\"/tags/-\"}]",
    "[{\"op\":\"zq<7\",\"path\":\"zq<7\"}]",
    "[{\"op\":\"add\",\"path\":\"/attributes/a~2b\",\"value\":1}]",
    "{\"q\":\"steel\",\"filter\":{\"price\":{\">=\":1}}}",
    "{\"q\":7}",
    "{\"filter\":{\"zq<7\":{\"zq<7\":1}}}",
    "{\"filter\":{\"price\":{\">=\":\"zq<7\"}}}",
    "{\"sortby\":[\"zq<7\"],\"select\":[\"zq<7\"]}",
    "{\"limit\":-1,\"after\":\"zq<7\"}",
    "{\"count\":\"yes\"}",
    "{\"select\":[]}",
    "\u{FEFF}{}",
    "{\"a\":1}{\"b\":2}",
    "{'a':1}",
    "{\"a\":1,}",
    "NaN",
];

const POINTERS: &[&str] = &[
    "",
    "/",
    "/name",
    "/price/amount",
    "/tags/0",
    "/tags/-",
    "/tags/01",
    "/attributes/~01",
    "~",
    "/a~",
    "/id",
    "name",
];

/// Headers, each with values that mean something in it, or look as if they did.
const HEADERS: &[(&str, &[&str])] = &[
    (
        "accept",
        &[
            "",
            "*/*",
            "application/json",
            "application/json;v=1",
            "application/json;v=2",
            "application/json;v=3",
            "application/json;q=0",
            "text/html",
            "application/*;q=0.5, text/*",
            "application/json;v=1;q=1.0001",
            ";",
            ",,,",
            "application",
            "application/json;v=\"1\"",
            "a/b;c=d;q=x",
            "*/json",
        ],
    ),
    (
        "accept-encoding",
        &[
            "",
            "gzip",
            "br",
            "zstd",
            "identity;q=0",
            "*;q=0",
            "gzip;q=0, br;q=0.5",
            "gzip;q=2",
            "deflate",
            "gzip,,br",
            ";q=1",
            "identity;q=0, *;q=0",
        ],
    ),
    (
        "if-none-match",
        &[
            "*",
            "\"x\"",
            "W/\"x\"",
            "x",
            "\"a\", \"b\"",
            "\"",
            "W/",
            ",",
            "\"v2-0\", W/\"v1-0\"",
            "*, *",
        ],
    ),
    (
        "if-match",
        &["*", "\"x\"", "W/\"x\"", "x", "\"a\", \"b\"", "\"", ""],
    ),
    (
        "if-modified-since",
        &[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "0",
            "yesterday",
            "",
        ],
    ),
    (
        "if-unmodified-since",
        &[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "x",
        ],
    ),
    ("if-range", &["\"x\"", "Sun, 06 Nov 1994 08:49:37 GMT"]),
    (
        "range",
        &[
            "bytes=0-1",
            "bytes=-1",
            "bytes=9-1",
            "items=0-1",
            "bytes=0-0,5-6,99999999999999999999-",
        ],
    ),
    ("content-type", KINDS),
    ("content-encoding", &["gzip", "identity", "br", "x"]),
    (
        "content-length",
        &["0", "5", "-1", "99999999999999999999", "x", "1, 1"],
    ),
    (
        "transfer-encoding",
        &["chunked", "gzip, chunked", "identity"],
    ),
    ("expect", &["100-continue", "x"]),
    (
        "authorization",
        &[
            "",
            "Bearer",
            "Bearer zqsecretzq",
            "Basic enFzZWNyZXR6cTp4",
            "Bearer a.b.c",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "x",
        ],
    ),
    (
        "x-api-key",
        &[
            "",
            "zqsecretzq",
            "a-key-for-tests",
            "a-key-for-tests,a-key-for-tests",
        ],
    ),
    (
        "idempotency-key",
        &[
            "",
            "x",
            "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
            "6F9619FF8B864D01B42D00CF4FC964FF",
            "00000000-0000-0000-0000-000000000000",
            "{6f9619ff-8b86-4d01-b42d-00cf4fc964ff}",
        ],
    ),
    (
        "x-conversation",
        &[
            "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
            "x",
            "",
            "6f9619ff-8b86-4d01-b42d-00cf4fc964ff, 6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        ],
    ),
    (
        "x-request-id",
        &["6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "zq<7", ""],
    ),
    ("cookie", &["session=zqsecretzq", "a=b; c"]),
    ("origin", &["https://evil.test", "null", "x"]),
    ("access-control-request-method", &["PUT", "x", ""]),
    (
        "access-control-request-headers",
        &["x-api-key, content-type", ",", "zq<7"],
    ),
    (
        "cache-control",
        &[
            "no-cache",
            "only-if-cached",
            "max-age=-1",
            "max-age=0, no-store",
        ],
    ),
    (
        "host",
        &["", "catalog.test", "evil.test:99999", "a b", "[::1"],
    ),
    ("connection", &["close", "upgrade", "x-api-key"]),
    ("upgrade", &["websocket", "h2c"]),
    ("x-forwarded-for", &["1.2.3.4", "zq<7"]),
    ("x-http-method-override", &["DELETE"]),
    ("te", &["trailers", "gzip"]),
    ("prefer", &["return=minimal", "respond-async"]),
    ("accept-language", &["de", "*;q=0"]),
    ("accept-charset", &["utf-16"]),
    ("forwarded", &["for=1.2.3.4"]),
];
