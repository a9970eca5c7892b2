//! `CONTRACTS_FILE`, read.

use super::MOST_CONTRACTS;
use super::book::{Book, Origin, Refused};
use super::declared::{Declared, JudgeUrl, is_name};
use crate::product::Unrepeated;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

/// A file with more problems than this is answered with the first of them.
const MOST_PROBLEMS: usize = 100;

/// Reads the contracts of a file: an array of them, or an object with one under `contracts`. In YAML, or
/// in JSON, which is YAML too. `judge` says where refreshes may ask.
///
/// # Errors
/// A line for each problem, which says which contract it is about. None repeats a value of the file.
pub fn parse_file(text: &str, judge: &JudgeUrl<'_>) -> Result<Vec<Declared>, Vec<String>> {
    let items = items(text).map_err(|rule| vec![rule])?;
    if items.len() > MOST_CONTRACTS {
        return Err(vec![format!(
            "must have at most {MOST_CONTRACTS} contracts, and has {}",
            items.len()
        )]);
    }
    let (mut book, mut problems) = (Book::default(), Vec::new());
    for (number, item) in (1..).zip(items) {
        let Value::Object(members) = item else {
            problems.push(format!("contract {number} must be an object"));
            continue;
        };
        let who = who(number, &members);
        match Declared::read(members, None, judge) {
            Ok(declared) => {
                if let Err(refused) = book.add(declared, Origin::File) {
                    problems.push(format!("{who}: {}", clash(&refused)));
                }
            }
            Err(wrong) => {
                let lines = wrong.into_iter().map(|problem| problem.description);
                problems.extend(lines.map(|line| format!("{who}: {line}")));
            }
        }
    }
    problems.truncate(MOST_PROBLEMS);
    match problems.is_empty() {
        true => Ok(book.iter().map(|kept| (*kept.declared).clone()).collect()),
        false => Err(problems),
    }
}

fn items(text: &str) -> Result<Vec<Value>, String> {
    let document = Unrepeated
        .deserialize(yaml_serde::Deserializer::from_str(text))
        .map_err(|error| {
            let place = error.location().map_or_else(String::new, |place| {
                format!(", line {} column {}", place.line(), place.column())
            });
            format!("must be YAML or JSON in which no member is named twice{place}")
        })?;
    match document {
        Value::Array(items) => Ok(items),
        Value::Object(mut members) => match (members.remove("contracts"), members.is_empty()) {
            (Some(Value::Array(items)), true) => Ok(items),
            (_, false) => Err("must have no member beside `contracts`".to_owned()),
            (_, true) => Err("must have an array under `contracts`".to_owned()),
        },
        _ => {
            Err("must be an array of contracts, or an object with one under `contracts`".to_owned())
        }
    }
}

/// How a line names a contract: by its place, and by its name if that is one.
fn who(number: usize, members: &Map<String, Value>) -> String {
    match members.get("name").and_then(Value::as_str) {
        Some(name) if is_name(name) => format!("contract {number} ({name})"),
        _ => format!("contract {number}"),
    }
}

fn clash(refused: &Refused) -> String {
    match refused {
        Refused::NameTaken => "`name` is that of another contract above".to_owned(),
        Refused::PatternTaken { by } => format!("`key_pattern` is that of {by} too"),
        refused => refused.to_string(),
    }
}
