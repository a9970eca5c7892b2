//! A store as files: its size, reading it raw, and making the system forget what it has read of it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Read at a time.
const CHUNK: usize = 1024 * 1024;

/// The files below `dir`.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(files(&path)?),
            false => found.push(path),
        }
    }
    Ok(found)
}

/// The length of the files below `dir`, in bytes.
pub fn bytes(dir: &Path) -> io::Result<u64> {
    let lengths = files(dir)?
        .into_iter()
        .map(|path| Ok(path.metadata()?.len()));
    lengths.sum()
}

/// Reads the files below `dir` from beginning to end, and tells how many bytes that were.
pub fn read(dir: &Path) -> io::Result<usize> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    for path in files(dir)? {
        let mut file = File::open(path)?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => total += length,
            }
        }
    }
    Ok(total)
}

/// Lets the system write the files below `dir` out and forget them, as far as it agrees; false
/// where there is no `dd` that can ask for that. A disk below may still remember them.
pub fn forget(dir: &Path) -> io::Result<bool> {
    for path in files(dir)? {
        let mut of = std::ffi::OsString::from("of=");
        of.push(path);
        let asked = Command::new("dd")
            .args([
                "if=/dev/null",
                "count=0",
                "oflag=nocache",
                "conv=notrunc,fdatasync",
            ])
            .arg(of)
            .stderr(Stdio::null())
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            return Ok(false);
        }
    }
    Ok(true)
}
