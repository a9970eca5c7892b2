//! What the figures were taken on: without it they mean nothing.

use std::fs::read_to_string;

/// One line: cores, processor, system, and how busy it is already.
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let processor = field("/proc/cpuinfo", "model name", ':');
    let system = field("/etc/os-release", "PRETTY_NAME", '=');
    let memory = field("/proc/meminfo", "MemTotal", ':');
    let load = read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{cores} cores, {processor}, {memory} of memory, {system}, load {load} before the run")
}

/// The value of the first line of `file` that begins with `name`.
fn field(file: &str, name: &str, separator: char) -> String {
    let text = read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(separator))
        .find(|(key, _)| key.trim() == name)
        .map_or_else(
            || format!("(no {name})"),
            |(_, value)| value.trim().trim_matches('"').to_owned(),
        )
}
